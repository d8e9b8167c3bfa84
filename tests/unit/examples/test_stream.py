"""The stream of the demo keeps the promises that the demo is judged by, under the default rules, without a broker."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from examples.fraud.stream import Rows, Scenario, bootstrap_rows, rows, to_csv
from examples.fraud.world import CATEGORICAL, CONSTANT_AT_FIRST, NUMERIC
from tests.unit.examples import offline

SCENARIO = Scenario()
SHIFT, CHANGE = 21, 22
FRESH = range(SHIFT + 2, SHIFT + 6)
"""The four windows that `rolling: 4h` trains on, once 9,000 labels have come since the shift."""
PROMOTED = SHIFT + 11
"""Six windows of fresh labels, one of waiting for the last of them, shadow and three steps."""


@pytest.fixture(scope="module")
def champion() -> offline.Model:
    return offline.train(offline.history(SCENARIO))


@pytest.fixture(scope="module")
def successor() -> offline.Model:
    return offline.train(windows(SCENARIO, FRESH))


def windows(scenario: Scenario, which: range) -> offline.Table:
    return offline.join([offline.window(scenario, index) for index in which])


def auc(model: offline.Model, data: offline.Table) -> float:
    return offline.auc(data.labels, model.score(data))


def alarms(model: offline.Model, scenario: Scenario, which: range) -> tuple[int, int]:
    """Count episodes of drift and of quality."""
    tables = [offline.window(scenario, index) for index in which]
    drift = [offline.look(model, data).drifted for data in tables]
    quality = [offline.loss_bound(model, data) > offline.AUC_LIMIT for data in tables]
    return offline.alarms(drift), offline.alarms(quality)


def values(made: Rows, name: str) -> set[float | str]:
    return set(made.columns[name])


def test_a_window_is_the_same_whenever_it_is_asked_for() -> None:
    before = rows(SCENARIO, 3)
    rows(SCENARIO, 30)
    assert rows(SCENARIO, 3) == before
    assert rows(SCENARIO, 4) != before
    assert rows(replace(SCENARIO, seed=8), 3).columns != before.columns


def test_rows_come_in_order_of_time_inside_their_window() -> None:
    made = rows(SCENARIO, 2)
    begin = SCENARIO.start + timedelta(hours=2)
    assert made.times == sorted(made.times)
    assert begin <= made.times[0]
    assert made.times[-1] < begin + timedelta(hours=1)


def test_a_window_has_sixteen_numbers_four_categories_and_one_id_per_row() -> None:
    made = rows(SCENARIO, 0)
    assert list(made.columns) == [*NUMERIC, *CATEGORICAL]
    assert (len(NUMERIC), len(CATEGORICAL)) == (16, 4)
    lengths = [len(column) for column in made.columns.values()]
    lengths += [len(made.labels), len(made.entity), len(made.ids), len(made.times)]
    assert set(lengths) == {SCENARIO.rows_per_window}


def test_no_id_is_used_twice() -> None:
    ids = [*bootstrap_rows(SCENARIO).ids, *(one for index in range(3) for one in rows(SCENARIO, index).ids)]
    assert len(set(ids)) == len(ids)


def test_history_ends_where_window_zero_begins() -> None:
    made = bootstrap_rows(SCENARIO)
    assert len(made.ids) == SCENARIO.history_windows * SCENARIO.history_rows_per_window
    assert SCENARIO.start - timedelta(hours=4) <= made.times[0]
    assert made.times[-1] < SCENARIO.start
    with pytest.raises(ValueError, match="window -5 is before the history, whose first is -4"):
        rows(SCENARIO, -5)


def test_some_columns_are_constant_until_the_shift_and_alive_after_it() -> None:
    before, after = bootstrap_rows(SCENARIO), rows(SCENARIO, SHIFT)
    assert {name for name in before.columns if len(values(before, name)) == 1} == set(CONSTANT_AT_FIRST)
    assert all(len(values(after, name)) > 2 for name in CONSTANT_AT_FIRST)


@pytest.mark.parametrize("index", [0, 20, SHIFT, CHANGE, 39])
def test_about_fifteen_percent_are_fraud_in_every_world(index: int) -> None:
    assert np.mean(rows(SCENARIO, index).labels) == pytest.approx(0.15, abs=0.03)


def test_the_concept_change_leaves_the_rows_alone() -> None:
    with_change, without = rows(SCENARIO, CHANGE), rows(replace(SCENARIO, concept_at=None), CHANGE)
    assert with_change.columns == without.columns
    assert with_change.labels != without.labels


def test_csv_says_the_same_as_the_rows(tmp_path: Path) -> None:
    made = rows(SCENARIO, 0)
    to_csv(made, tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [float(row["amount"]) for row in read] == made.columns["amount"]
    assert [datetime.fromisoformat(row["ts"]) for row in read] == made.times
    assert [(row["txn_id"], row["card_id"], int(row["is_fraud"])) for row in read] == list(
        zip(made.ids, made.entity, made.labels, strict=True)
    )


def test_no_alarm_while_nothing_changes(champion: offline.Model) -> None:
    assert alarms(champion, SCENARIO, range(SCENARIO.stationary)) == (0, 0)


def test_the_shift_moves_most_columns_and_costs_the_champion_little(champion: offline.Model) -> None:
    scenario = replace(SCENARIO, concept_at=None)
    seen = offline.look(champion, offline.window(scenario, SHIFT))
    assert seen.share >= 0.6
    assert sum(value >= 0.3 for name, value in seen.columns.items() if name not in CONSTANT_AT_FIRST) >= 6
    lost = auc(champion, windows(scenario, range(16, SHIFT))) - auc(champion, windows(scenario, range(SHIFT, 26)))
    assert lost < 0.03, "else the demo could not tell a stream without the concept change"


def test_the_concept_change_breaks_the_champion_in_two_windows(champion: offline.Model) -> None:
    assert alarms(champion, SCENARIO, range(CHANGE, CHANGE + 2))[1] == 1
    before, drifted = windows(SCENARIO, range(16, SHIFT)), windows(SCENARIO, FRESH)
    assert auc(champion, before) - auc(champion, drifted) >= 0.10


def test_the_successor_passes_the_gate(champion: offline.Model, successor: offline.Model) -> None:
    held = successor.holdout
    gain, error = offline.contrast(held.labels, successor.score(held), champion.score(held))
    assert gain - 1.96 * error > 0.1
    assert successor.reference_auc > 0.75 + 0.1


def test_the_successor_is_as_good_as_the_champion_was_and_stays_silent(
    champion: offline.Model, successor: offline.Model
) -> None:
    after = range(PROMOTED, PROMOTED + 7)
    assert auc(successor, windows(SCENARIO, after)) >= auc(champion, windows(SCENARIO, range(16, SHIFT))) - 0.02
    assert alarms(successor, SCENARIO, after) == (0, 0)
