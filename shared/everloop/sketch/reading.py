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


def count(value: object, *, signed: bool = False) -> int:
    """Read a whole number, from 0 unless `signed`; raises `ValueError` for anything else."""
    if type(value) is not int or (value < 0 and not signed):
        raise ValueError("not a count")
    return value


def written(value: object, *, signed: bool = False) -> int:
    """Read a number as `count` does from text, since it may be beyond 64 bits; raises `ValueError` otherwise."""
    if not isinstance(value, str):
        raise ValueError("not a number in digits")  # noqa: TRY004 -- one answer to all that is wrong
    digits = value.removeprefix("-") if signed else value
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("not a number in digits")
    return int(value)
