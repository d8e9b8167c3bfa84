"""The arrays inside a model file."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MAGIC: Final = b"\x93NUMPY"


def without_padding(member: bytes) -> bytes:
    """Give a `.npy` member with zeros between the fields of its records; any other member as it is.

    The nodes of a tree are C structs: between their fields lies whatever the memory held before, so the same tree would
    have another digest each time. Copying field by field does not help, since numpy's own copies leave padding as it
    was found; the bytes themselves are masked.
    """
    if not member.startswith(_MAGIC):
        return member
    array = np.load(io.BytesIO(member), allow_pickle=False)
    if array.dtype.names is None:
        return member
    start = len(member) - array.nbytes
    records = np.frombuffer(member, dtype=np.uint8, offset=start).reshape(array.size, array.dtype.itemsize)
    return member[:start] + (records * _used(array.dtype)).tobytes()


def _used(dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Give 1 for each byte of a record that belongs to a field, else 0. Shape (itemsize,)."""
    used = np.zeros(dtype.itemsize, dtype=np.uint8)
    for field, offset, *_ in (dtype.fields or {}).values():
        used[offset : offset + field.itemsize] = 1
    return used
