"""The hash functions of everybody. The golden values must never change: state and splits in the field rest on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from everloop import xxh3
from everloop.buckets import BUCKETS, bucket, buckets, buckets_in, hashes, lanes_in, partition, unit_interval
from everloop.listed import Texts
from everloop.xxh3 import LEAST, MOST

ENTITIES = ["", "card-1", "card-2", "é", "日本", "\ud800", "a" * 1000]
GOLDEN_BUCKETS = [194, 113, 14, 179, 192, 208, 124]
GOLDEN_PARTITIONS_OF_12 = [3, 9, 6, 2, 11, 8, 10]
GOLDEN_PARTITIONS_OF_6 = [3, 3, 0, 2, 5, 2, 4]
GOLDEN_LANES_OF_12 = [1, 0, 7, 0, 11, 2, 2]
GOLDEN_LANES_OF_4 = [1, 0, 3, 0, 3, 2, 2]
GOLDEN_UNITS = [
    0.868587481780874,
    0.39488257572410657,
    0.11525624633862663,
    0.7781429421008573,
    0.14758772684543486,
    0.4190142612204223,
    0.12220665076298176,
]
MANY = [f"card-{number}" for number in range(20_000)]


def test_golden_values_never_change() -> None:
    assert [bucket(entity) for entity in ENTITIES] == GOLDEN_BUCKETS
    assert [partition(entity, 12) for entity in ENTITIES] == GOLDEN_PARTITIONS_OF_12
    assert [partition(entity, 6) for entity in ENTITIES] == GOLDEN_PARTITIONS_OF_6
    assert lanes_in(hashes(ENTITIES), 12).tolist() == GOLDEN_LANES_OF_12
    assert lanes_in(hashes(ENTITIES), 4).tolist() == GOLDEN_LANES_OF_4
    assert [unit_interval(entity, "fraud/1") for entity in ENTITIES] == GOLDEN_UNITS


def test_a_bucket_is_the_lowest_byte_of_the_published_hash_and_a_lane_its_upper_half() -> None:
    """The sanity check of the XXH3 project: 64 bits of nothing with seed 0."""
    assert bucket("") == 0x2D06800538D394C2 & 0xFF
    assert lanes_in(hashes([""]), 12).tolist() == [0x2D068005 % 12]


@given(st.lists(st.text(st.characters(codec=None)), max_size=20))
def test_many_at_once_equals_one_by_one(entities: list[str]) -> None:
    assert buckets(entities).tolist() == [bucket(entity) for entity in entities]
    hashed = hashes(entities)
    assert buckets_in(hashed).tolist() == buckets(entities).tolist()
    assert lanes_in(hashed, 12).tolist() == [int(lanes_in(hashes([entity]), 12)[0]) for entity in entities]


def test_buckets_are_even() -> None:
    counts = [0] * BUCKETS
    for place in buckets(MANY):
        counts[int(place)] += 1
    expected = len(MANY) / BUCKETS
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    assert chi_square < 330.5  # the 99.9 % point of chi-square with 255 degrees of freedom


@given(st.text(), st.text())
def test_units_lie_in_the_half_open_interval(entity: str, salt: str) -> None:
    assert 0.0 <= unit_interval(entity, salt) < 1.0


def test_a_salt_reshuffles_and_text_does_not_run_over_from_salt_to_entity() -> None:
    moved = sum((unit_interval(e, "a") < 0.5) != (unit_interval(e, "b") < 0.5) for e in MANY)
    assert abs(moved / len(MANY) - 0.5) < 0.02
    assert unit_interval("bc", "a") != unit_interval("c", "ab")


def test_the_split_says_nothing_about_the_bucket() -> None:
    low = [bucket(entity) for entity in MANY if unit_interval(entity, "s") < 0.1]
    assert abs(sum(low) / len(low) - 127.5) < 8  # four standard errors of a mean of about 2,000 buckets


@pytest.mark.parametrize("partitions", [3, 4, 12])
def test_lanes_are_even_and_say_nothing_about_the_bucket(partitions: int) -> None:
    lanes, found = lanes_in(hashes(MANY), partitions), buckets(MANY)
    for lane in range(partitions):
        mine = found[lanes == lane]
        assert abs(len(mine) - len(MANY) / partitions) < 4 * (len(MANY) / partitions) ** 0.5
        assert abs(mine.mean() - 127.5) < 4 * 74 / len(mine) ** 0.5  # four standard errors of an even bucket


def test_a_partition_is_in_range_and_needs_one() -> None:
    assert {partition(entity, 3) for entity in MANY} == {0, 1, 2}
    with pytest.raises(ValueError, match="at least one partition"):
        lanes_in(hashes(["card-1"]), 0)
    with pytest.raises(ValueError, match="at least one partition"):
        partition("card-1", 0)


@pytest.mark.parametrize("length", [*range(1, 70)])
def test_texts_of_one_length_have_the_same_buckets(length: int) -> None:
    entities = [f"{number:0{length}x}"[-length:] for number in range(0, 2**20, 5_003)]
    texts = Texts("".join(entities).encode(), np.arange(0, (len(entities) + 1) * length, length, dtype=np.int32))
    assert texts.length == length
    assert texts == entities
    assert buckets(texts).tolist() == [bucket(entity) for entity in entities]


def test_texts_of_several_lengths_have_the_same_buckets() -> None:
    texts = Texts("card-1éx".encode(), np.array([0, 6, 8, 8, 9], dtype=np.int32))
    assert texts.length is None
    assert buckets(texts).tolist() == [bucket(entity) for entity in ("card-1", "é", "", "x")]


@given(st.integers(LEAST, MOST), st.binary(min_size=MOST, max_size=20 * MOST))
def test_hashes_are_those_of_the_published_library(length: int, data: bytes) -> None:
    texts = [data[at : at + length] for at in range(0, len(data) - length + 1, length)]
    assert xxh3.hashes(b"".join(texts), length).tolist() == [xxh3_64_intdigest(text) for text in texts]
