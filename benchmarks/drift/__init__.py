"""Benchmarks of the windows of drift: rows off Kafka to published counts, to verdicts, and what holding them takes."""
