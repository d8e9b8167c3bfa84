"""What a finished demo left on the topics, as events: of journals only the valid records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from everloop import topics
from everloop.errors import InvalidError
from everloop.events import Event, LabelsLogged
from everloop.replay.watching import JOURNALS, Follower
from everloop.rows import Rows, read_record
from everloop.runtime.journal import Validity
from everloop.runtime.log import Log, Place


@dataclass(frozen=True, slots=True)
class History:
    """Everything that a summary is computed from, of one model."""

    predictions: tuple[Rows, ...]
    labels: tuple[LabelsLogged, ...]
    journals: tuple[Event, ...]
    """Valid records of `drift`, `training`, `verdicts`, `rollouts`; in order within each journal."""


def read_history(log: Log, model: str) -> History:
    """Read the topics from their start to an end that is asked for now."""
    rows = [found for found in _plain(log) if found.model == model]
    return History(
        predictions=tuple(found for found in rows if isinstance(found, Rows)),
        labels=tuple(found for found in rows if isinstance(found, LabelsLogged)),
        journals=tuple(event for event in _valid(log) if event.model == model),
    )


def _plain(log: Log) -> Iterator[Rows | LabelsLogged]:
    follower = Follower(log, [topics.PREDICTIONS.name, topics.LABELS.name])
    for record in follower.news():
        try:
            found = read_record(record.value, record.headers)
        except InvalidError:
            continue
        if isinstance(found, Rows | LabelsLogged):
            yield found
    follower.close()


def _valid(log: Log) -> Iterator[Event]:
    follower, validity = Follower(log, [journal.name for journal in JOURNALS]), dict[Place, Validity]()
    for record in follower.news():
        event = validity.setdefault(record.place, Validity()).accept(record)
        if event is not None:
            yield event
    follower.close()
