"""The journal rule: the first record with the next `sequence` of its model is valid, any other is void (rule 5)."""

from __future__ import annotations

from dataclasses import dataclass, field

from everloop.codec import decode
from everloop.errors import InvalidError
from everloop.events import Event
from everloop.runtime.log import Record


@dataclass
class Validity:
    """What one partition of a journal has said so far: the last valid sequence of each model."""

    last: dict[str, int] = field(default_factory=dict)
    void: int = 0

    def accept(self, record: Record) -> Event | None:
        """The event of a valid record; None when the record is void, which is counted and means nothing."""
        try:
            event = decode(record.value, record.headers)
        except InvalidError:
            event = None
        if event is None or event.sequence != self.last.get(event.model, 0) + 1:
            self.void += 1
            return None
        self.last[event.model] = event.sequence
        return event
