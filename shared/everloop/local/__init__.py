"""The local stack: a real Kafka, an MLflow server and the services as supervised processes of one machine.

`jars` and `broker` bring up Kafka, `supervisor` keeps processes running, `stack` says which ones there are, `lifecycle`
is what `everloop up` and `everloop down` do, `doctor` looks for what is missing. `testing` is for test sessions.
"""
