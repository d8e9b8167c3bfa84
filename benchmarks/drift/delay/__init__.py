"""`drift.delay`: how many windows pass from a change until it is found, ours beside two that people know.

`python -m benchmarks.drift.delay` measures (about ten minutes), and writes docs/drift-delay.json and its picture.
"""
