"""The library of faults: each a pure function of rows, seed and moment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from everloop.faults import FAULTS, Batch, Moment, spoiled

ROWS = 480


def rows(seed: int = 0) -> Batch:
    chance = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "amount": np.exp(chance.normal(3.5, 0.7, ROWS)), "minutes": chance.gamma(2.0, 150.0, ROWS),
        "temperature": chance.normal(15.0, 8.0, ROWS), "rate": chance.beta(2.0, 5.0, ROWS),
        "country": chance.choice(["ch", "de", "fr"], ROWS, p=(0.6, 0.3, 0.1)),
    }  # fmt: skip
    return Batch(columns, (chance.random(ROWS) < 0.3).astype(np.float64))


def bytes_of(batch: Batch) -> list[object]:
    return [(name, repr(values.tolist())) for name, values in batch.columns.items()] + [batch.labels.tolist()]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seeded_leaves_its_input_alone_and_says_what_it_does(name: str) -> None:
    batch, moment = rows(), Moment(7, 1, 6, rows(1))
    before = bytes_of(batch)
    first, second = (spoiled(FAULTS[name], batch, moment) for _ in range(2))
    assert bytes_of(first) == bytes_of(second)
    assert bytes_of(batch) == before
    assert FAULTS[name].sentence.endswith(".")
    assert {len(values) for values in (*first.columns.values(), first.labels)} == {len(first.labels)}


@pytest.mark.parametrize("name", [name for name, one in FAULTS.items() if one.family == "data"])
def test_broken_data_changes_what_was_measured_and_not_what_happened(name: str) -> None:
    batch = rows()
    sent = spoiled(FAULTS[name], batch, Moment(7, 1, 6, rows(1)))
    assert sent.labels.tolist() == batch.labels.tolist()
    assert bytes_of(sent) != bytes_of(batch)


@pytest.mark.parametrize("name", [name for name, one in FAULTS.items() if one.pool > 1])
def test_a_selection_keeps_rows_whole(name: str) -> None:
    batch = rows()
    kept = spoiled(FAULTS[name], batch, Moment(7))
    whole = set(zip(*(values.tolist() for values in batch.columns.values()), batch.labels, strict=True))
    found = list(zip(*(values.tolist() for values in kept.columns.values()), kept.labels, strict=True))
    assert 0 < len(found) <= ROWS
    assert len(set(found)) == len(found)
    assert set(found) <= whole


def test_what_the_world_prefers_is_there_more_often() -> None:
    batch = rows()
    means = [spoiled(FAULTS[name], batch, Moment(7)).columns["amount"].mean() for name in
             ("shifted_mildly", "shifted_strongly")]  # fmt: skip
    assert batch.columns["amount"].mean() < means[0] < means[1]
    assert spoiled(FAULTS["prior_shifted"], batch, Moment(7)).labels.mean() > 1.5 * batch.labels.mean()
