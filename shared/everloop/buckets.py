"""The hash functions that every service shares: buckets, partitions, the sticky split. Pure and fixed for ever.

Over UTF-8, never Python's `hash`, which differs between processes. What every row needs is XXH3-64 (seed 0;
https://github.com/Cyan4973/xxHash, unchanged since its version 0.8): a bucket is its lowest byte, a lane (the partition
of a row on its way to the join) its upper half. The partition of a model and the split are BLAKE2b (RFC 7693) with a
personalisation each. So a bucket says nothing about the partition, the lane or the arm of an entity.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_digest, xxh3_64_intdigest

from everloop import xxh3
from everloop.listed import Texts

BUCKETS: Final = 256
_LOWEST: Final = BUCKETS - 1
_PARTITION: Final = b"everloop:part"
_SPLIT: Final = b"everloop:split"
_SALT_ENDS: Final = b"\x00"
_MANTISSA: Final = 53


def _number(data: bytes, person: bytes, size: int = 8) -> int:
    """Read `size` bytes of digest as a big-endian number."""
    return int.from_bytes(blake2b(data, digest_size=size, person=person).digest(), "big")


def _require(partitions: int) -> None:
    if partitions < 1:
        message = f"a topic has at least one partition, not {partitions}"
        raise ValueError(message)


def _utf8(text: str) -> bytes:
    """Encode any `str`: a lone surrogate, which JSON can carry, must not stop a lane."""
    return text.encode("utf-8", "surrogatepass")


def hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Give the XXH3-64 (seed 0) of many texts: shape (n,), in their order. What buckets and lanes are made of."""
    if isinstance(texts, Texts) and (length := texts.length) and xxh3.LEAST <= length <= xxh3.MOST:
        return xxh3.hashes(texts.data, length)
    try:
        return np.frombuffer(b"".join(map(xxh3_64_digest, map(str.encode, texts))), ">u8").astype(np.uint64)
    except UnicodeEncodeError:
        return np.array([xxh3_64_intdigest(_utf8(text)) for text in texts], np.uint64)


def bucket(entity: str) -> int:
    """Give the bucket, 0..255, of an entity (or of a prediction id where there is no entity). No salt."""
    return xxh3_64_intdigest(_utf8(entity)) & _LOWEST


def buckets(entities: Sequence[str]) -> NDArray[np.uint8]:
    """Give the buckets of many entities: shape (n,), in their order. Equal to `bucket` of each."""
    return buckets_in(hashes(entities))


def buckets_in(hashed: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Give the buckets of entities with these `hashes`."""
    return hashed.astype(np.uint8)


def lanes_in(hashed: NDArray[np.uint64], partitions: int) -> NDArray[np.int64]:
    """Give the partitions, 0..partitions-1, of the rows whose ids have these `hashes`: the upper 32 bits, modulo.

    Buckets are the lowest byte, so that neither says anything about the other. `ValueError` without a partition.
    """
    _require(partitions)
    return ((hashed >> np.uint64(32)) % np.uint64(partitions)).astype(np.int64)


def partition(key: str, partitions: int) -> int:
    """Give the Kafka partition, 0..partitions-1, of a key. `ValueError` when there is no partition."""
    _require(partitions)
    return _number(_utf8(key), _PARTITION) % partitions


def unit_interval(entity: str, salt: str) -> float:
    """Give the place of an entity in [0, 1) under a rollout's salt; it is in an arm of weight w while the place is < w.

    53 bits, exact as a float, so the place is never rounded up to 1. The salt is hashed apart from the entity, so no
    two pairs (salt, entity) run together.
    """
    data = blake2b(_utf8(salt), digest_size=16).digest() + _SALT_ENDS + _utf8(entity)
    return float(_number(data, _SPLIT) >> (64 - _MANTISSA)) / float(1 << _MANTISSA)
