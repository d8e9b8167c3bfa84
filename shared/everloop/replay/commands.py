"""What a replay and the demo do as a person would: rules, wishes for a version, and the first champion."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from everloop import topics
from everloop.errors import FatalError
from everloop.events import LoopApplied, TrainingRequested
from everloop.loop import Loop, loop_digest
from everloop.replay.bootstrap import Bootstrap
from everloop.replay.lockstep import LockStep, publish_on
from everloop.replay.rows import Labels, Rows
from everloop.replay.watching import Journals
from everloop.runtime.log import Log


@dataclass(frozen=True, slots=True)
class History:
    """What the first version learns from, which all of it is known of: from `begin` to `end` on the model's clock."""

    rows: Rows
    labels: Labels
    begin: datetime
    end: datetime


def apply(log: Log, loop: Loop, now: datetime) -> None:
    """Publish the rules of a model."""
    digest = loop_digest(loop)
    name = f"{loop.model}/{digest}"
    publish_on(log, topics.LOOPS, LoopApplied.named(name, now, loop.model, loop=loop.to_payload(), digest=digest))


def request(
    log: Log, model: str, now: datetime, *, by: str, recipe: str | None = None, bootstrap: bool = False
) -> UUID:
    """Ask for a version; `now` is the model's control clock. The id of the request is the thread of its turn."""
    name = f"{model}/{by}/{recipe}/{bootstrap}/{now.isoformat()}"
    asked = TrainingRequested.named(name, now, model, by=by, recipe=recipe, bootstrap=bootstrap)
    publish_on(log, topics.COMMANDS, asked.model_copy(update={"correlation_id": asked.id}))
    return asked.id


def first_champion(lock: LockStep, loop: Loop, history: History, by: str) -> None:
    """The model's own clock, its rules, its history, and a version trained from it. Raises `FatalError` without one.

    The clock comes first: a control service that knew the model under the clock of all would not go back in time.
    """
    log = lock.client.log
    lock.begin(history.begin)
    apply(log, loop, history.begin)
    lock.client.quiescence.wait()
    lock.history(history.rows, history.labels)
    told = Bootstrap(request(log, loop.model, history.begin, by=by, bootstrap=True))
    lock.step(history.end)
    journals = Journals(log, lambda event: told.hear(event) if event.model == loop.model else None)
    with closing(journals.follower):
        journals.news()
    if told.failure or not told.ended:
        raise FatalError(f"{loop.model}: there is no first champion: {told.failure or told.stage}")
