"""A seeded stream of card payments whose world changes at known windows. Nothing is downloaded, nothing is read.

The same scenario and window always give the same rows, whatever was asked before: each window has its own generator,
seeded by (seed, window). Windows before zero are the history from which the first model is made.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from examples.fraud.world import CARDS, Cards, Floats, Names, World, cards, draw, probability

ID, TIME, LABEL, ENTITY = "txn_id", "ts", "is_fraud", "card_id"
DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Scenario:
    """The timetable. Windows are counted from zero; `None` for a change that never comes.

    `stationary` is the number of windows before any change, `windows` the number of all that are played. The history is
    denser, so that a training range of `history_windows` windows holds all of it.
    """

    seed: int = 7
    rows_per_window: int = 1_600
    history_windows: int = 4
    history_rows_per_window: int = 2_400
    stationary: int = 21
    covariate_at: int | None = 21
    concept_at: int | None = 22
    windows: int = 40
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    every: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as columns; all lists have the same length. `times` rise and are in UTC; `labels` are 0 or 1."""

    columns: dict[str, list[float | str]]
    labels: list[int]
    entity: list[str]
    ids: list[str]
    times: list[datetime]


def world_at(scenario: Scenario, window: int) -> World:
    """Say which changes have happened by `window`."""
    return World(shifted=_since(scenario.covariate_at, window), changed=_since(scenario.concept_at, window))


def rows(scenario: Scenario, window: int) -> Rows:
    """Make the rows of one window; those before zero, down to `-history_windows`, are the history."""
    if window < -scenario.history_windows:
        raise ValueError(f"window {window} is before the history, whose first is {-scenario.history_windows}")
    rng = np.random.default_rng([scenario.seed, window + scenario.history_windows])
    count = scenario.rows_per_window if window >= 0 else scenario.history_rows_per_window
    world, card = world_at(scenario, window), rng.integers(0, CARDS, count)
    columns = draw(rng, card, _cards(scenario), world)
    fraud = rng.random(count) < probability(columns, world)
    return Rows(
        columns={name: _plain(column) for name, column in columns.items()},
        labels=[int(yes) for yes in fraud],
        entity=[f"card-{index:04d}" for index in card],
        ids=[_name(scenario, window, row) for row in range(count)],
        times=_times(scenario, window, rng, count),
    )


def bootstrap_rows(scenario: Scenario) -> Rows:
    """Make the history: the rows of all windows before zero, oldest first."""
    parts = [rows(scenario, window) for window in range(-scenario.history_windows, 0)]
    return Rows(
        columns={name: [value for part in parts for value in part.columns[name]] for name in parts[0].columns},
        labels=[label for part in parts for label in part.labels],
        entity=[entity for part in parts for entity in part.entity],
        ids=[name for part in parts for name in part.ids],
        times=[time for part in parts for time in part.times],
    )


def to_csv(made: Rows, path: Path) -> None:
    """Write rows with a header, as `everloop bootstrap LOOP --data FILE` takes them; times are ISO 8601 in UTC."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow([ID, TIME, ENTITY, *made.columns, LABEL])
        times = [time.isoformat() for time in made.times]
        out.writerows(zip(made.ids, times, made.entity, *made.columns.values(), made.labels, strict=True))


def _since(change: int | None, window: int) -> bool:
    return change is not None and window >= change


def _cards(scenario: Scenario) -> Cards:
    return cards(np.random.default_rng(scenario.seed))


def _plain(column: Floats | Names) -> list[float | str]:
    """Round numbers, so that a row is small on the wire and reads the same from CSV and JSON."""
    if column.dtype.kind == "U":
        return [str(value) for value in column]
    return [round(float(value), DECIMALS) for value in column]


def _name(scenario: Scenario, window: int, row: int) -> str:
    return f"txn-{window + scenario.history_windows:04d}-{row:05d}"


def _times(scenario: Scenario, window: int, rng: np.random.Generator, count: int) -> list[datetime]:
    """Spread the rows over the window, to the millisecond, so that text and back is the same time."""
    length = int(scenario.every / timedelta(milliseconds=1))
    offsets = np.sort(rng.integers(0, length, count))
    begin = scenario.start + window * scenario.every
    return [begin + timedelta(milliseconds=int(offset)) for offset in offsets]
