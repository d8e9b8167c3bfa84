"""`everloop bootstrap` behind the front door: the first version is of all rows, not of those that came first."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from everloop import topics
from everloop.cli.bootstrap import Wait, arrive, ask
from everloop.cli.context import FailedError, Session
from everloop.events import TrainingRequested
from everloop.runtime.log import Message, Place
from tests.builders import NOON, a_manifest
from tests.unit.cli.turns import START, Stack, a_stack

SENT = Place(topics.PREDICTIONS.name, 2)


@dataclass
class Machine:
    """A clock that a pause moves on by one second; `committing` groups have read what was sent by then."""

    stack: Stack
    committing: tuple[str, ...] = ("route", "archive")
    now: float = 0
    pauses: int = field(default=0)

    def session(self) -> Session:
        return Session(wall=lambda: NOON + timedelta(seconds=self.now), pause=self.pause)

    def pause(self) -> None:
        self.now += 1
        self.pauses += 1
        for group in self.committing:
            self.stack.broker.client().commit_as(f"everloop.ingest.{group}", {SENT: 1})


def a_machine(*committing: str) -> Machine:
    stack = a_stack()
    stack.broker.append(Message(SENT, b"fraud", b"{}"))
    return Machine(stack, committing)


def test_it_waits_until_the_archive_has_what_was_sent() -> None:
    machine = a_machine("route", "archive")
    arrive(machine.stack.broker.client(), Wait(machine.session(), 10))
    assert machine.pauses == 1


def test_when_its_time_is_over_it_names_who_is_behind() -> None:
    machine = a_machine("route")
    with pytest.raises(FailedError, match=r"not ended after 10 s, .*everloop\.ingest\.archive is 1 behind on"):
        arrive(machine.stack.broker.client(), Wait(machine.session(), 10))


def test_the_request_says_how_many_rows_the_archive_holds() -> None:
    machine = a_machine()
    machine.stack.say(topics.ARCHIVE, a_manifest("outcomes", {START: 930}), a_manifest("predictions", {START: 840}))
    asked = ask(machine.stack.broker.client(), "fraud", machine.session())
    assert isinstance(asked, TrainingRequested)
    assert (asked.bootstrap, asked.rows, asked.time) == (True, 930, NOON)
