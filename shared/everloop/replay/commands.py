"""What a replay says itself, as a person would: the rules of its model, and the wish for a first version."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from everloop import topics
from everloop.events import LoopApplied, TrainingRequested
from everloop.loop import Loop, loop_digest
from everloop.replay.lockstep import publish_on
from everloop.runtime.log import Log


def apply(log: Log, loop: Loop, now: datetime) -> None:
    """Publish the rules of a model."""
    digest = loop_digest(loop)
    name = f"{loop.model}/{digest}"
    publish_on(log, topics.LOOPS, LoopApplied.named(name, now, loop.model, loop=loop.to_payload(), digest=digest))


def ask_first(log: Log, model: str, now: datetime) -> UUID:
    """Ask for the first version; the id of the request is the thread of its turn."""
    asked = TrainingRequested.named(f"{model}/replay", now, model, by="replay", bootstrap=True)
    publish_on(log, topics.COMMANDS, asked.model_copy(update={"correlation_id": asked.id}))
    return asked.id
