"""Nothing is shared from here: builders live in `tests/builders.py`, so that a reader sees where a value comes from."""
