"""Drift proves that it sees: its probe is found, and a build that is blind in any of many ways says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from everloop import topics
from everloop.events import BooksKept
from everloop.sketch import inputs, labelled
from everloop_drift.domain import concept, judging, limits
from everloop_drift.domain.probe import HEARS, WINDOWS
from everloop_drift.domain.sight import FALSE, INPUTS, QUALITY
from tests.simulation.probe_stage import EVERY, Stage, lacking, periods

ALL = sorted([INPUTS, QUALITY, *HEARS])
Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(scope="module")
def healthy() -> Stage:
    """Two periods of a build that is well."""
    return Stage().play(periods(2))


def test_its_drift_is_found_in_time_and_nothing_is_said(healthy: Stage) -> None:
    assert not healthy.died
    assert not healthy.names()
    assert healthy.periods == (2, 0)
    delay = healthy.metrics.value("everloop_probe_delay_seconds")
    assert EVERY.total_seconds() < delay <= 21, "it is looked for once a window"


def test_what_blinds_detectors_is_among_its_rows_before_the_drift_and_in_it(healthy: Stage) -> None:
    windows = [arm for event in healthy.closed("inputs") for arm in event.arms]
    sides = [column.current for arm in windows for column in arm.columns if column.name == "x"]
    assert len(sides) >= 2 * WINDOWS
    assert all(side.nonfinite and side.missing and side.malformed for side in sides)
    outcomes = [arm.quality for event in healthy.closed("outcomes") for arm in event.arms]
    assert all(dict(quality or {}).get("rejected") == 16 for quality in outcomes)


def test_all_its_rows_are_counted_and_none_is_a_dead_letter(healthy: Stage) -> None:
    books = [event for event in healthy.events(topics.PARTIALS) if isinstance(event, BooksKept)]
    newest = {(one.topic, one.partition): one for one in sorted(books, key=lambda one: one.offset)}
    assert sum(one.counted for one in newest.values()) == 2 * 96 * periods(2)
    assert not any(one.quarantined or one.late or one.duplicate for one in newest.values())
    assert not healthy.events(topics.DLQ)


# ----------------------------------------------------------------------------------------------------- blind builds


def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build whose detectors are fed whatever comes."""
    monkeypatch.setattr(concept, "math", SimpleNamespace(**vars(math) | {"isfinite": lambda _: True}))


def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build whose sketch of labelled rows takes what is no number for one."""
    monkeypatch.setattr(labelled, "usable", lambda _task, score, _label: np.ones(score.shape, dtype=bool))


def unbinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build whose sketch of inputs does the same."""
    monkeypatch.setattr(inputs, "np", SimpleNamespace(**vars(np) | {"isfinite": lambda one: np.ones(one.shape, bool)}))


def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge to whom nothing is drift."""
    monkeypatch.setattr(limits, "is_drift", lambda *_: False)


def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge to whom everything is drift."""
    monkeypatch.setattr(limits, "is_drift", lambda *_: True)


def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that cannot decide."""
    monkeypatch.setattr(judging, "champion", lambda *_: 1 / 0)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (unchecked, {"adwin behind a NaN", "page_hinkley behind a NaN"}),
        (uncounted, set(ALL)),
        (unbinned, set(ALL)),
        (never, {INPUTS}),
        (always, {FALSE}),
        (failing, set(ALL)),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_blind_build_trips_the_alert_and_it_names_what_is_not_seen(
    broken: Break, named: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    stage = Stage().play(periods(1))
    assert stage.names().count("detector_blind") == 1
    assert named <= lacking(stage.alerts())[0]
    assert stage.periods == (0, 1)


@pytest.mark.parametrize("room", ["windows", "merge", "judge"])
def test_a_room_that_stands_still_is_blindness(room: str) -> None:
    stage = Stage(without=frozenset({room})).play(periods(1))
    assert lacking(stage.alerts()) == [set(ALL)]


def test_it_is_one_alert_until_drift_sees_again() -> None:
    stage = Stage(without=frozenset({"judge"})).play(periods(2))
    assert stage.names() == ["detector_blind"]
    stage.without = frozenset()
    stage.play(2 * WINDOWS)
    assert stage.names() == ["detector_blind", "detector_sees"]
    assert [alert.severity for alert in stage.alerts()] == ["error", "info"]


# ------------------------------------------------------------------------------------------- replicas, starts, and gaps


def test_two_replicas_send_the_same_records_and_raise_the_same_alert() -> None:
    stage = Stage(replicas=2).play(periods(1))
    assert not stage.died
    assert not stage.names()
    assert stage.periods == (2, 0)
    rows = sum(arm.rows for event in stage.closed("inputs") for arm in event.arms)
    assert rows == 96 * len(stage.closed("inputs"))
    stage = Stage(replicas=2, without=frozenset({"merge"})).play(periods(1))
    assert stage.names() == ["detector_blind", "detector_blind"]
    assert len({alert.id for alert in stage.alerts()}) == 1


@pytest.mark.parametrize("at", [1, 5])
def test_a_start_in_the_middle_of_a_period_asks_nothing_of_that_period(at: int) -> None:
    stage = Stage().play(at)
    stage.running["probe-0"] = stage.probe()
    stage.without = frozenset({"judge"})
    stage.play(periods(1) - at)
    assert stage.names() == []
    stage.without = frozenset()
    stage.play(WINDOWS)
    assert stage.names() == []
    assert stage.periods == (1, 0)


@pytest.mark.parametrize("at", [4])
def test_a_period_that_was_not_sent_whole_proves_nothing(at: int) -> None:
    stage = Stage().play(at)
    stage.now += EVERY
    stage.play(periods(2) - at - 1)
    assert stage.names() == []
    assert stage.periods == (1, 0)
