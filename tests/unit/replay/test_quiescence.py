"""When the stack is at rest, on the log in memory."""

from __future__ import annotations

from uuid import UUID

import pytest

from everloop import events as e
from everloop import topics
from everloop.errors import FatalError
from everloop.replay.quiescence import Committed, LogOffsets, Patience, Quiescence
from everloop.replay.watching import Journals
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryClient
from tests.builders import NOON
from tests.unit.replay.fakes import CONTROL, GROUPS, MODEL, READER, Sleeper, a_log, place_of, write

ROWS = Place(topics.PREDICTIONS.name, 2)


def a_quiescence(log: MemoryClient, sleeper: Sleeper | None = None, limit_s: float = 5) -> Quiescence:
    waits = sleeper or Sleeper()
    return Quiescence(log, LogOffsets(log), GROUPS, Journals(log), Patience(limit_s, waits.monotonic, waits.sleep))


def started(sequence: int = 1) -> e.TrainingStarted:
    snapshot = e.Snapshot(start=0, end=1, strategy="full", predictions=(), outcomes=())
    spec = e.TrainingSpec(
        recipe="a.B", task="binary", seed=0, features=None, snapshot=snapshot, holdout=0.3, version="1", timeout_s=1
    )
    return e.TrainingStarted(
        id=UUID(int=sequence), time=NOON, model=MODEL, sequence=sequence, attempt=1, spec=spec, fresh_labels=1,
        reason=e.Reason(rule="test"),
    )  # fmt: skip


def failed(sequence: int = 2) -> e.TrainingFailed:
    why = e.Reason(rule="test")
    return e.TrainingFailed(
        id=UUID(int=sequence), time=NOON, model=MODEL, sequence=sequence, attempt=1, error="", reason=why
    )


def test_an_empty_stack_is_at_rest() -> None:
    assert a_quiescence(a_log().client()).unrest() == []


def test_a_group_that_is_behind_is_named_with_topic_and_lag() -> None:
    log = a_log().client()
    log.publish([Message(ROWS, b"k", b"{}")] * 3)
    log.commit_as(READER, {ROWS: 1})
    assert a_quiescence(log).unrest() == [f"{READER} is 2 behind on everloop.predictions.v1[2] (1 of 3)"]


def test_a_group_that_never_committed_is_behind_as_well() -> None:
    log = a_log().client()
    log.publish([Message(place_of(topics.CLOCK), b"k", b"{}")])
    assert [found.split()[0] for found in a_quiescence(log).unrest()] == [CONTROL]


def test_groups_that_nobody_expects_are_not_waited_for() -> None:
    log = a_log().client()
    log.publish([Message(ROWS, b"k", b"{}")])
    log.commit_as(READER, {ROWS: 1})
    log.commit_as("everloop.trainer.broadcast.7", {ROWS: 0})
    assert a_quiescence(log).unrest() == []


def test_work_without_an_end_is_unrest_until_its_end_is_in_the_journal() -> None:
    log = a_log().client()
    quiescence = a_quiescence(log)
    write(log, place_of(topics.TRAINING), started())
    assert quiescence.unrest() == ["everloop.training.v1: TrainingStarted of fraud has no end"]
    write(log, place_of(topics.TRAINING), failed())
    assert quiescence.unrest() == []


def test_a_void_end_ends_nothing() -> None:
    log = a_log().client()
    quiescence = a_quiescence(log)
    write(log, place_of(topics.TRAINING), started(1))
    write(log, place_of(topics.TRAINING), failed(sequence=1))
    assert "has no end" in quiescence.unrest()[0]


def test_committed_offsets_are_asked_for_before_the_ends() -> None:
    """An answer that comes between the two must be seen as unrest: the other order would miss it."""
    log = a_log().client()

    class Racing:
        def committed(self, wanted: object) -> Committed:
            found = {READER: log.committed(READER, [ROWS])}
            log.publish([Message(ROWS, b"k", b"{}")])
            return found

    quiescence = Quiescence(log, Racing(), {READER: (topics.PREDICTIONS.name,)}, Journals(log), Patience(5))
    assert len(quiescence.unrest()) == 1


def test_a_journal_record_that_comes_meanwhile_is_unrest() -> None:
    log = a_log().client()

    class Racing:
        def committed(self, wanted: object) -> Committed:
            write(log, place_of(topics.TRAINING), failed(1))
            return {}

    quiescence = Quiescence(log, Racing(), {}, Journals(log), Patience(5))
    assert quiescence.unrest() == ["journals: a record came meanwhile"]


def test_waiting_goes_on_until_the_last_reader_has_committed() -> None:
    log = a_log().client()
    log.publish([Message(ROWS, b"k", b"{}")] * 3)
    sleeper = Sleeper(lambda: log.commit_as(READER, {ROWS: min(3, sleeper.slept)}))
    a_quiescence(log, sleeper).wait()
    assert sleeper.slept == 3


def test_a_wait_that_is_too_long_says_what_it_waited_for() -> None:
    log = a_log().client()
    log.publish([Message(ROWS, b"k", b"{}")])
    with pytest.raises(FatalError, match=r"within 5 s: everloop.reader is 1 behind on everloop.predictions.v1\[2\]"):
        a_quiescence(log).wait()
