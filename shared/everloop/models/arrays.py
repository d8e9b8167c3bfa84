"""The arrays inside a model file."""

from __future__ import annotations

import io
from typing import Final

import numpy as np

_MAGIC: Final = b"\x93NUMPY"


def without_padding(member: bytes) -> bytes:
    """Give a `.npy` member with zeros between the fields of its records; any other member as it is.

    The nodes of a tree are C structs: between their fields lies whatever the memory held before, so the same tree would
    have another digest each time.
    """
    if not member.startswith(_MAGIC):
        return member
    array = np.load(io.BytesIO(member), allow_pickle=False)
    if array.dtype.names is None:
        return member
    clean = np.zeros_like(array)
    for name in array.dtype.names:
        clean[name] = array[name]
    buffer = io.BytesIO()
    np.save(buffer, clean, allow_pickle=False)
    return buffer.getvalue()
