"""What a finished demo left on the topics, as events: of journals only the valid records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from everloop import topics
from everloop.codec import decode
from everloop.errors import InvalidError
from everloop.events import Event, LabelsLogged, PredictionsLogged
from everloop.replay.watching import JOURNALS, Follower
from everloop.runtime.journal import Validity
from everloop.runtime.log import Log, Place


@dataclass(frozen=True, slots=True)
class History:
    """Everything that a summary is computed from, of one model."""

    predictions: tuple[PredictionsLogged, ...]
    labels: tuple[LabelsLogged, ...]
    journals: tuple[Event, ...]
    """Valid records of `drift`, `training`, `verdicts`, `rollouts`; in order within each journal."""


def read_history(log: Log, model: str) -> History:
    """Read the topics from their start to an end that is asked for now."""
    events = [event for event in (*_plain(log), *_valid(log)) if event.model == model]
    return History(
        predictions=tuple(event for event in events if isinstance(event, PredictionsLogged)),
        labels=tuple(event for event in events if isinstance(event, LabelsLogged)),
        journals=tuple(e for e in events if not isinstance(e, PredictionsLogged | LabelsLogged)),
    )


def _plain(log: Log) -> Iterator[Event]:
    follower = Follower(log, [topics.PREDICTIONS.name, topics.LABELS.name])
    for record in follower.news():
        try:
            event = decode(record.value, record.headers)
        except InvalidError:
            continue
        if isinstance(event, PredictionsLogged | LabelsLogged):
            yield event
    follower.close()


def _valid(log: Log) -> Iterator[Event]:
    follower, validity = Follower(log, [journal.name for journal in JOURNALS]), dict[Place, Validity]()
    for record in follower.news():
        event = validity.setdefault(record.place, Validity()).accept(record)
        if event is not None:
            yield event
    follower.close()
