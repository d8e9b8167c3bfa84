"""The probe's schedule and rows, what is made of them whatever the seed, and what is held to be blindness."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from everloop import topics
from everloop.artifacts import MemoryStore
from everloop.buckets import partition
from everloop.codec import encode
from everloop.errors import UsageError
from everloop.events import ArmWindow, LoopApplied, WindowClosed, WindowJudged
from everloop.jobs import InlineJobs
from everloop.loopfile import LoopFileError, read_loop
from everloop.metrics import Metrics
from everloop.names import PROBE
from everloop.runtime.broadcast import World
from everloop.runtime.control import ControlService
from everloop.runtime.data import DataService, Fold
from everloop.runtime.log import Message, Place, Record
from everloop.runtime.memory import MemoryLog
from everloop.sketch import Labelled
from everloop_drift.adapters.known import Known
from everloop_drift.adapters.probe import adopt, messages
from everloop_drift.domain import judging, sight
from everloop_drift.domain.hearing import deaf_detectors, jumping_stream
from everloop_drift.domain.labels import POINTS
from everloop_drift.domain.probe import (
    HEARS,
    ROWS,
    STABLE,
    WINDOWS,
    Schedule,
    probe_loop,
    probe_profile,
    probe_rows,
)
from everloop_drift.domain.sight import FALSE, INPUTS, QUALITY, Watch
from everloop_drift.handlers import decider
from everloop_drift.settings import DriftSettings
from everloop_ingest.adapters.archives import ArchiveFold
from everloop_ingest.adapters.routes import RouteFold
from tests.builders import a_fresh_id
from tests.unit.drift.builders import a_column_window

SCHEDULE = Schedule(60_000)
BEGIN = 1_767_225_600_000
"""2026-01-01, a whole minute."""
STARTS = SCHEDULE.starts(BEGIN)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def closed(start: int, kind: str, seed: int) -> WindowClosed:
    """The window of these rows, counted as drift counts."""
    rows, profile = probe_rows(SCHEDULE, start, seed), probe_profile()
    if kind == "inputs":
        x, group = profile.columns
        arm = ArmWindow(
            arm="champion", version="1", rows=ROWS, score=a_column_window(profile.score, rows.score),
            columns=(a_column_window(x, rows.x), a_column_window(group, list(rows.group))),
        )  # fmt: skip
    else:
        times = np.asarray(rows.times)
        points = times - times % (SCHEDULE.every // POINTS)
        seen = Labelled.observe("binary", None, rows.score, rows.label, np.zeros(ROWS, dtype=np.int64), points)
        (one,) = profile.quality
        reference = {one.metric: one.value, f"{one.metric}_se": one.standard_error}
        arm = ArmWindow(
            arm="champion", version="1", rows=seen.rows, quality=seen.to_plain(), reference_quality=reference,
            task="binary",
        )  # fmt: skip
    return WindowClosed.model_validate({
        "id": a_fresh_id(), "time": NOW, "model": PROBE, "kind": kind, "start": start, "end": start + SCHEDULE.every,
        "revision": 0, "arms": (arm,), "rows": arm.rows,
    })  # fmt: skip


def test_whatever_the_seed_nothing_is_found_in_200_stable_windows_and_all_of_each_drift() -> None:
    loop, state = probe_loop(SCHEDULE), judging.initial()
    for seed in range(200 // STABLE):
        watch = Watch()
        for start in SCHEDULE.starts(BEGIN + seed * SCHEDULE.period):
            watch = sight.asked(watch, SCHEDULE, start)
            for kind in ("inputs", "outcomes"):
                event = judging.decide(state, closed(start, kind, seed), NOW, loop, None)
                assert isinstance(event, WindowJudged)
                state, watch = judging.evolve(state, event), sight.heard(watch, SCHEDULE, event)
        _, (answer,) = sight.answers(watch, SCHEDULE, BEGIN + (seed + 2) * SCHEDULE.period, ())
        assert answer.lacking == (), seed


def test_every_detector_hears_behind_a_nan_and_says_nothing_before() -> None:
    fed = jumping_stream()
    assert not all(np.isfinite(fed))
    assert deaf_detectors() == ()


def test_the_bad_rows_are_spread_evenly_over_the_points() -> None:
    for start in STARTS:
        rows = probe_rows(SCHEDULE, start)
        assert not np.isfinite(rows.x[rows.bad]).all()
        assert np.isfinite(rows.x[~rows.bad]).all()
        places = (np.asarray(rows.times)[~rows.bad] - start) // (SCHEDULE.every // POINTS)
        assert np.bincount(places).tolist() == [5] * POINTS
        assert start <= min(rows.times) <= max(rows.times) < start + SCHEDULE.every


def test_the_same_window_of_another_period_has_the_same_values() -> None:
    one, two = (probe_rows(SCHEDULE, STARTS[4] + place * SCHEDULE.period) for place in (0, 3))
    assert np.array_equal(one.x, two.x, equal_nan=True)
    assert set(one.ids).isdisjoint(two.ids)


# ------------------------------------------------------------------------------------------------------------- sight


def a_watch(*sent: int, found: frozenset[str] = sight.WANTED, blind: bool = False) -> Watch:
    return Watch({BEGIN: frozenset(sent or STARTS)}, {BEGIN: found}, blind)


def test_nothing_is_due_before_the_last_window_and_one_more_could_have_closed() -> None:
    due = BEGIN + SCHEDULE.period + SCHEDULE.every + SCHEDULE.grace
    early, said = sight.answers(a_watch(), SCHEDULE, due - 1, ())
    assert (early, said) == (a_watch(), ())
    late, (answer,) = sight.answers(a_watch(), SCHEDULE, due, ())
    assert late == Watch()
    assert answer == (BEGIN, ())


@pytest.mark.parametrize("missing", [INPUTS, QUALITY, *HEARS])
def test_each_thing_that_is_not_found_is_blindness(missing: str) -> None:
    watch, (answer,) = sight.answers(a_watch(found=sight.WANTED - {missing}), SCHEDULE, BEGIN + 90_000, ())
    assert answer.lacking == (missing,)
    assert watch.blind


def test_drift_where_there_was_none_and_a_deaf_detector_are_blindness() -> None:
    _, (answer,) = sight.answers(a_watch(found=sight.WANTED | {FALSE}), SCHEDULE, BEGIN + 90_000, ("ddm",))
    assert answer.lacking == (FALSE, "ddm behind a NaN")


def test_a_period_without_a_window_says_nothing_and_changes_nothing() -> None:
    watch, said = sight.answers(a_watch(*STARTS[1:], found=frozenset(), blind=True), SCHEDULE, BEGIN + 90_000, ())
    assert (watch, said) == (Watch(blind=True), ())


def test_what_is_judged_of_an_older_period_is_no_news() -> None:
    old = judging.decide(judging.initial(), closed(STARTS[0], "inputs", 0), NOW, probe_loop(SCHEDULE), None)
    assert isinstance(old, WindowJudged)
    assert sight.heard(Watch(), SCHEDULE, old) == Watch()


# ---------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(("text", "period"), [("0s", 0), ("1m", 60_000), ("10m", 600_000), ("1d", 86_400_000)])
def test_the_period_is_a_setting(text: str, period: int) -> None:
    assert DriftSettings.from_environment({"EVERLOOP_PROBE": text}).probe_ms == period
    if period:
        schedule = Schedule(period)
        assert schedule.every % POINTS == 0
        assert schedule.every * WINDOWS == period
        assert probe_loop(schedule).windows.grace < probe_loop(schedule).windows.every


@pytest.mark.parametrize("text", ["soon", "90s", "2d", "-1m"])
def test_no_other_period_is(text: str) -> None:
    with pytest.raises(UsageError, match="EVERLOOP_PROBE is"):
        DriftSettings.from_environment({"EVERLOOP_PROBE": text})


# ------------------------------------------------------------------------------------- nobody but drift hears of it


def test_a_loop_file_cannot_have_its_name() -> None:
    text = f"kind: Loop\nversion: 1\nmodel: {PROBE}\ntask: binary\ncolumns: {{id: i, time: t, label: y}}\n"
    with pytest.raises(LoopFileError, match=r"l\.yaml:3: model: .* is the name of Everloop's own probe; give"):
        read_loop(text, "l.yaml")


def test_a_loop_of_its_name_in_the_log_is_not_learned_nor_taken_away() -> None:
    loop = probe_loop(SCHEDULE)
    event = LoopApplied.named("x", NOW, PROBE, loop=loop.to_payload(), digest="d")
    record = Record(Place(topics.LOOPS.name, 0), 0, PROBE.encode(), b"")
    world, known = World(), Known()
    world.learn(record, event)
    known.learn(record, event)
    assert not world.loops
    assert known.find(PROBE, "1") == "unknown_model"
    world.loops[PROBE] = loop
    adopt(known, SCHEDULE)
    world.learn(record, None)
    known.learn(record, None)
    assert world.loops == {PROBE: loop}
    assert known.find(PROBE, "1") is None
    known.keep(())
    assert known.find(PROBE, "1") is None


def test_control_services_pass_over_it() -> None:
    broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
    service = ControlService(decider(), broker.client(), InlineJobs({}), replica="0", wall=lambda: NOW)
    place = Place(topics.WINDOWS.name, partition(PROBE, topics.PARTITIONS))
    for event in (closed(STARTS[0], "inputs", 0), closed(STARTS[0], "inputs", 0).model_copy(update={"model": "fraud"})):
        value, headers = encode(event, source="test", recorded=NOW)
        home = place._replace(partition=partition(event.model, topics.PARTITIONS))
        broker.client().publish([Message(home, event.model.encode(), value, headers)])
    while service.step():
        pass
    letters = [record for n in range(topics.PARTITIONS) for record in broker.records[Place(topics.DLQ.name, n)]]
    assert len(letters) == 1, "the other one is a stranger"
    assert broker.offsets["everloop.drift.judge"][place] == 1 + (place.partition == partition("fraud", 4))


def test_ingest_neither_joins_nor_archives_its_rows() -> None:
    broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
    client, store = broker.client(), MemoryStore()
    client.publish([*messages(SCHEDULE, probe_rows(SCHEDULE, STARTS[0]), STARTS[0], NOW)])
    folds: list[Fold] = [RouteFold(lambda: NOW, Metrics()), ArchiveFold(store, lambda: NOW, Metrics(), linger_ms=0)]
    for fold in folds:
        service = DataService(fold, client, replica="0")
        while service.step():
            pass
    written = {place.topic for place, records in broker.records.items() if records}
    assert written == {topics.PREDICTIONS.name, topics.OUTCOMES.name, topics.BOOKS.name}
