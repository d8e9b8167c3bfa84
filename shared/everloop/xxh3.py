"""XXH3-64 (seed 0) of many texts of one length at once: what `xxhash` says of each, which a test holds.

As the specification (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md) has it for 4 to 64 bytes; all
numbers are little-endian and wrap round.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
LEAST: Final = 4
MOST: Final = 64
_SECRET: Final = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
)
_KEYS: Final = np.frombuffer(_SECRET, dtype="<u8")
_PRIME: Final = 0x9E3779B185EBCA87
_AVALANCHE: Final = np.uint64(0x165667919E3779F9)
_SHORT: Final = np.uint64(0x9FB21C651E98DF25)
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)


def hashes(data: bytes, length: int) -> Words:
    """Of texts of `length` bytes each, one after the other in `data`: shape (texts,). `length` is `LEAST` to `MOST`."""
    if length <= 8:  # noqa: PLR2004 -- the classes of the specification
        return _to_8(data, length)
    if length <= 16:  # noqa: PLR2004 -- as above
        return _to_16(data, length)
    mixed = np.full(len(data) // length, length * _PRIME % 2**64, dtype=np.uint64)
    for place in range((length - 1) // 32 + 1):
        mixed += _mixed(data, length, 16 * place, 4 * place)
        mixed += _mixed(data, length, length - 16 * (place + 1), 4 * place + 2)
    return _avalanche(mixed)


def _to_8(data: bytes, length: int) -> Words:
    first, last = (_words(data, length, at, "<u4") for at in (0, length - 4))
    found: Words = (last + (first << _HALF)) ^ (_KEYS[1] ^ _KEYS[2])
    found ^= _rotated(found, 49) ^ _rotated(found, 24)
    found *= _SHORT
    found ^= (found >> np.uint64(35)) + np.uint64(length)
    found *= _SHORT
    found ^= found >> np.uint64(28)
    return found


def _to_16(data: bytes, length: int) -> Words:
    low = _words(data, length, 0) ^ (_KEYS[3] ^ _KEYS[4])
    high = _words(data, length, length - 8) ^ (_KEYS[5] ^ _KEYS[6])
    return _avalanche(low.byteswap() + high + _folded(low, high) + np.uint64(length))


def _mixed(data: bytes, length: int, at: int, key: int) -> Words:
    return _folded(_words(data, length, at) ^ _KEYS[key], _words(data, length, at + 8) ^ _KEYS[key + 1])


def _words(data: bytes, length: int, at: int, kind: str = "<u8") -> Words:
    """The number that stands `at` so many bytes in each text."""
    found: Words = np.ndarray((len(data) // length,), kind, data, at, (length,)).astype(np.uint64)
    return found


def _folded(one: Words, other: Words) -> Words:
    """The product in 128 bits, its halves one upon the other; of parts of 32 bits, since numpy has no wider product."""
    low, high, other_low, other_high = one & _LOW, one >> _HALF, other & _LOW, other >> _HALF
    lowest, cross = low * other_low, high * other_low
    middle = (lowest >> _HALF) + (cross & _LOW) + low * other_high
    upper = high * other_high + (cross >> _HALF) + (middle >> _HALF)
    folded: Words = upper ^ ((middle << _HALF) | (lowest & _LOW))
    return folded


def _avalanche(found: Words) -> Words:
    mixed: Words = found ^ (found >> np.uint64(37))
    mixed *= _AVALANCHE
    mixed ^= mixed >> _HALF
    return mixed


def _rotated(found: Words, bits: int) -> Words:
    turned: Words = (found << np.uint64(bits)) | (found >> np.uint64(64 - bits))
    return turned
