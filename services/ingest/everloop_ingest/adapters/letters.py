"""Dead letters of the front door: what it refused, with reason, location and original bytes."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from everloop import topics
from everloop.buckets import partition
from everloop.codec import Headers
from everloop.events import DeadLettered
from everloop.http import Problem
from everloop.metrics import Metrics
from everloop.runtime.log import Message
from everloop.topics import Topic
from everloop_ingest.adapters.records import UNKNOWN, Wall, base64_of, headers_kept, message

STAGE: Final = "ingest.door"
NOWHERE: Final = -1
"""The offset of what never stood on a topic."""
MOST_A_SECOND: Final = 100
"""Letters of one replica; beyond it what is refused is answered and counted, and not kept."""
SHOWN: Final = 5
REASONS: Final = {400: "malformed", 404: "unknown_model", 409: "conflicting_duplicate", 422: "shape"}
"""Statuses of what is kept. Nothing else is: it was not read (413, 415), is not known (401, 403), or comes again."""
TELLING: Final = frozenset({"unknown_type", "unknown_feedback", "out_of_bounds"})
"""Rules that are a reason of their own."""


class Letters:
    """Writes letters, so many a second."""

    def __init__(self, wall: Wall, metrics: Metrics, most_a_second: int = MOST_A_SECOND) -> None:
        """`wall` dates the letters."""
        self.wall: Final = wall
        self.metrics: Final = metrics
        self.most: Final = most_a_second
        self._second = 0
        self._written = 0

    def letter(
        self, topic: Topic, status: int, problems: Sequence[Problem], value: bytes, headers: Headers, model: str | None
    ) -> list[Message]:
        """Give the letter of one refused item, none for a status that keeps nothing. The same item, the same id.

        `model` is one that is applied, else None; `headers` say how `value` is read.
        """
        reason = REASONS.get(status)
        if reason is None or not problems:
            return []
        if problems[0].rule in TELLING:
            reason = problems[0].rule
        if not self._room():
            self.metrics.inc("everloop_dead_letters_dropped_total", topic=topic.name, reason=reason)
            return []
        self.metrics.inc("everloop_dead_letters_total", topic=topic.name, reason=reason)
        name = f"{STAGE}/{topic.name}/{sha256(value).hexdigest()}"
        event = DeadLettered.named(
            name, self.wall(), model or UNKNOWN, topic=topic.name, partition=partition(name, topic.partitions),
            offset=NOWHERE, reason=reason, stage=STAGE, where=problems[0].where,
            error="; ".join(f"{one.where}: {one.rule}" for one in problems[:SHOWN]),
            value=base64_of(value), size=len(value), headers=headers_kept(headers),
        )  # fmt: skip
        return [message(topics.DLQ, event.partition % topics.DLQ.partitions, event, self.wall())]

    def _room(self) -> bool:
        second = int(self.wall().timestamp())
        if second != self._second:
            self._second, self._written = second, 0
        self._written += 1
        return self._written <= self.most
