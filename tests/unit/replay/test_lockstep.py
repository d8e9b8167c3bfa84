"""The order of a replay, on the log in memory: what is done when, and what it waits for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from everloop import topics
from everloop.errors import FatalError
from everloop.replay.lockstep import MOST_ROUNDS, LockStep
from tests.builders import NOON
from tests.unit.replay.fakes import MODEL, a_scene, labels_of, place_of, rows_of

HOUR = timedelta(hours=1)


def test_the_clock_is_set_before_any_row_and_stands_in_every_partition() -> None:
    scene = a_scene()
    LockStep(MODEL, scene.client).begin(NOON)
    assert scene.calls == ["clock 12/12/0"]
    assert scene.client.predictions.behind(MODEL, round(NOON.timestamp() * 1000)) == []


def test_a_step_is_rows_then_labels_then_data_clock_then_ticks() -> None:
    scene = a_scene()
    lock = LockStep(MODEL, scene.client)
    lock.begin(NOON)
    scene.calls.clear()
    lock.step(NOON + HOUR, rows_of("a", "b"), labels_of("x"))
    assert scene.calls == ["rows 2", "labels 1", "clock 13/12/0", "clock 13/13/0"]


def test_ticks_are_repeated_at_the_same_time_until_a_round_says_nothing() -> None:
    scene = a_scene()
    lock = LockStep(MODEL, scene.client)
    lock.begin(NOON)
    scene.stack.talk = 3
    scene.calls.clear()
    lock.step(NOON + HOUR)
    assert scene.calls == ["clock 13/12/0", "clock 13/13/0", "clock 13/13/1", "clock 13/13/2", "clock 13/13/3"]


def test_the_data_clock_alone_makes_no_later_tick_than_the_last() -> None:
    scene = a_scene()
    lock = LockStep(MODEL, scene.client)
    lock.begin(NOON)
    scene.stack.talk = 1
    lock.step(NOON + HOUR)
    lock.step(NOON + 2 * HOUR)
    moments = [(moved.control, moved.round) for moved in scene.stack.ticks]
    assert moments == sorted(moments)
    assert moments.count((NOON + HOUR, 1)) == 2


def test_control_services_that_never_stop_talking_are_an_error() -> None:
    scene = a_scene(talk=MOST_ROUNDS + 10, limit_s=10_000)
    lock = LockStep(MODEL, scene.client)
    lock.begin(NOON)
    with pytest.raises(FatalError, match=f"still decide after {MOST_ROUNDS} ticks"):
        lock.step(NOON + HOUR)


def test_rows_go_in_batches_and_every_id_must_come_back() -> None:
    scene = a_scene()
    lock = LockStep(MODEL, scene.client)
    lock.begin(NOON)
    scene.calls.clear()
    lock.feed(rows_of(*map(str, range(900))))
    assert scene.calls == ["rows 400", "rows 400", "rows 100"]
    assert not scene.client.predictions.missing


def test_a_row_that_does_not_come_back_is_named_by_count() -> None:
    scene = a_scene(lossy=True)
    lock = LockStep(MODEL, scene.client)
    lock.begin(NOON)
    with pytest.raises(FatalError, match=r"1 sent rows are not on everloop.predictions.v1"):
        lock.feed(rows_of("a", "b"))


def test_without_heartbeats_the_missing_partitions_are_named() -> None:
    scene = a_scene(deaf=True)
    with pytest.raises(FatalError, match=r"no heartbeat of 2026-01-05T12:00:00\+00:00 in everloop.predictions.v1\[0\]"):
        LockStep(MODEL, scene.client).begin(NOON)


def test_the_end_gives_the_model_back_to_the_clock_of_all() -> None:
    scene = a_scene()
    lock = LockStep(MODEL, scene.client)
    lock.begin(NOON)
    lock.end()
    place = place_of(topics.CLOCK)
    end = scene.client.log.ends([place])[place]
    tail = scene.client.log.tail()
    tail.seek({place: end - 1})
    (last,) = tail.read_to({place: end})
    assert (last.key, last.value) == (MODEL.encode(), None)


def test_a_step_without_a_beginning_is_refused() -> None:
    with pytest.raises(FatalError, match="call begin first"):
        LockStep(MODEL, a_scene().client).decide()
