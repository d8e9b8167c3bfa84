"""Sums per bucket: integer units, any order, any batches; a rollout reads what a window says of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.errors import InvalidError
from everloop.sketch import ArmSums, Sums

ROW = st.tuples(st.integers(0, 255), st.booleans(), *[st.floats(-1e9, 1e9) | st.just(math.nan)] * 3)
Row = tuple[int, bool, float, float, float]


def summed(rows: list[Row]) -> Sums:
    made = Sums()
    if rows:
        buckets, errors, latency, loss, score = map(np.array, zip(*rows, strict=True))
        made.add(buckets, errors=errors, latency_ms=latency, loss=loss, score=score)
    return made


def merged(*parts: Sums) -> bytes:
    whole = Sums()
    for part in parts:
        whole.merge(part)
    return written(whole)


def written(sums: Sums) -> bytes:
    return orjson.dumps(sums.to_plain(), option=orjson.OPT_SERIALIZE_NUMPY)


SUMS = st.builds(summed, st.lists(ROW, max_size=6))


@given(SUMS, SUMS, SUMS)
def test_sums_merge_in_any_order(a: Sums, b: Sums, c: Sums) -> None:
    assert merged(a, b, c) == merged(c, b, a) == merged(b, a, c)
    assert merged(a, Sums()) == written(a) == written(Sums.from_plain(orjson.loads(written(a))))


@given(st.lists(ROW, max_size=6), st.lists(ROW, max_size=6))
def test_sums_of_batches_are_sums_of_the_whole(first: list[Row], second: list[Row]) -> None:
    whole, parts = summed(first + second).arm_sums(), summed(first).arm_sums().merge(summed(second).arm_sums())
    assert parts == whole


def test_sums_are_in_integer_units() -> None:
    sums = Sums()
    sums.add(
        np.array([7, 7, 9]), errors=np.array([True, False, False]), latency_ms=np.array([1.5, 2.0, 0.0]),
        score=np.array([-0.1, 0.2, math.nan]),
    )  # fmt: skip
    assert sums.arm_sums().to_plain() == {"7": [2, 1, 3500, 0, 0, 2, 100_000], "9": [1, 0, 0, 0, 0, 0, 0]}
    labelled = Sums()
    labelled.add(np.array([7, 7, 9]), loss=np.array([0.25, math.nan, 1.0]))
    assert labelled.arm_sums().to_plain() == {"7": [2, 0, 0, 1, 250_000, 0, 0], "9": [1, 0, 0, 1, 1_000_000, 0, 0]}


def test_rows_that_were_never_scored_are_not_scored() -> None:
    sums = Sums()
    sums.add(np.array([1, 2]))
    assert int(sums.arm_sums().scored.sum()) == 0
    sums.add(np.array([1]), score=np.array([0.0]))
    assert sums.arm_sums().scored.sum() == 1, "a score of nothing is a score"


def test_a_row_of_nonsense_cannot_overflow_a_sum() -> None:
    sums = Sums()
    sums.add(np.zeros(20_000, dtype=np.int64), loss=np.full(20_000, 1.7e308))
    assert sums.arm_sums().loss_e6[0] == 20_000 * 10**12


def test_sums_are_those_of_python() -> None:
    rng = np.random.default_rng(2)
    buckets, scores = rng.integers(0, 256, 30_000), rng.normal(size=30_000)
    sums = Sums()
    sums.add(buckets, score=scores)
    expected = [0] * 256
    for bucket, score in zip(buckets.tolist(), scores.tolist(), strict=True):
        expected[bucket] += round(score * 1e6)
    assert sums.arm_sums().score_e6.tolist() == expected


@pytest.mark.parametrize(
    "plain", [{"rows": [1]}, {"surprise": [0] * 256}, {"rows": [0.5] * 256}, {"scored": [0] * 256}]
)
def test_what_is_no_sum_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        Sums.from_plain(plain)


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b'{"256":[1]}', b'{"1":[0,0,0,0,0,0,0.5]}', b'{"-1":1}'])
def test_what_is_no_arm_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidError):
        ArmSums.from_json(data)
