"""The dispatch rule and the journal rule, once; carriers for Kafka, Faust and memory around them."""
