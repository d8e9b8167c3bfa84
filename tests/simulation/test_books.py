"""Every row stands in the books once; a service that loses one is found out."""

from __future__ import annotations

from collections import Counter

import pytest

from everloop import topics
from everloop.codec import decode
from everloop.events import PredictionsLogged
from everloop.runtime.log import Message, Record
from everloop_drift.adapters import WindowsFold
from tests.simulation.books import kept, lost, rows_in, unbalanced
from tests.simulation.stack import ROWS, Stack, data, wall


def test_rows_recounted_are_the_rows_in_the_books(undisturbed: Stack) -> None:
    assert not unbalanced(undisturbed.simulation)
    assert not lost(undisturbed.simulation)

    served, history = ROWS * undisturbed.window, ROWS * 3
    said = sum((counts for counts in kept(undisturbed.simulation, topics.PREDICTIONS).values()), start=Counter())
    assert sum(rows_in(undisturbed.simulation, topics.PREDICTIONS).values()) == served + history
    assert (said["counted"], said["history"], said["duplicate"]) == (served, history, 0)


def test_late_repeated_and_unreadable_rows_stand_in_their_own_counts() -> None:
    stack = Stack()
    stack.bootstrap()
    stack.play(2)
    first = next(r for r in stack.records(topics.PREDICTIONS) if _is_served(r))

    stack.client.publish([Message(first.place, first.key, first.value, first.headers)])
    late = Message(first.place, first.key, first.value, _renamed(first))
    stack.client.publish([late, Message(first.place, None, b'{"prediction_id": ["a", "b"]}', first.headers)])
    stack.simulation.settle()

    counts = kept(stack.simulation, topics.PREDICTIONS)[first.place.partition]
    rows = len(_decoded(first).prediction_id)
    assert (counts["duplicate"], counts["late"]) == (rows, rows)
    assert counts["quarantined"] > 0


class Forgetful(WindowsFold):
    """The mutant: of each partition the second record of rows is read, but not folded."""

    def take(self, record: Record) -> None:
        forgotten = self.__dict__.setdefault("forgotten", {})
        if _is_served(record):
            forgotten[record.place] = forgotten.get(record.place, 0) + 1
            if forgotten[record.place] == 2:
                return
        super().take(record)


class Careless(WindowsFold):
    """The mutant: one row too few is entered for a record."""

    def take(self, record: Record) -> None:
        super().take(record)
        books = self.lanes[record.place].books
        if _is_served(record):
            books.counted -= 1


@pytest.mark.parametrize("mutant", [Forgetful, Careless])
def test_a_mutant_that_drops_rows_turns_the_check_red(mutant: type[WindowsFold]) -> None:
    stack = Stack(instead={"windows-0": data(lambda _: mutant(wall), 0)})
    stack.bootstrap()
    stack.play(8)

    assert unbalanced(stack.simulation)


def _is_served(record: Record) -> bool:
    return b'"source":"serving"' in (record.value or b"") and record.place.topic == topics.PREDICTIONS.name


def _decoded(record: Record) -> PredictionsLogged:
    event = decode(record.value, record.headers)
    assert isinstance(event, PredictionsLogged)
    return event


def _renamed(record: Record) -> tuple[tuple[str, bytes], ...]:
    other = b"00000000-0000-4000-8000-000000000001"
    return tuple((name, other if name == "ce_id" else value) for name, value in record.headers)
