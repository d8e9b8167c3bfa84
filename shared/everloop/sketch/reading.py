"""Read integers from JSON without guessing: a wrong shape is an error, never broadcast or wrapped around."""

import numpy as np
from numpy.typing import NDArray


def integers(values: object, size: int | None = None) -> NDArray[np.int64]:
    """Read a list of integers (of `size`, if given); raises `ValueError` for anything else."""
    read = np.array(values)
    if read.ndim != 1 or read.dtype != np.int64 or (size is not None and read.size != size):
        raise ValueError("not a list of so many integers")
    return read


def place(text: str, size: int) -> int:
    """Read a position 0..size-1; raises `ValueError` for anything else."""
    number = int(text)
    if not 0 <= number < size:
        raise ValueError("not a position")
    return number


def count(value: object) -> int:
    """Read a whole number from 0; raises `ValueError` for anything else."""
    if type(value) is not int or value < 0:
        raise ValueError("not a count")
    return value


def written(value: object) -> int:
    """Read a whole number from 0 that is written as text, since it may be beyond 64 bits; else raises `ValueError`."""
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()):
        raise ValueError("not a number in digits")
    return int(value)
