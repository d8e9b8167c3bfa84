"""Which requests a door has answered: the same id with another content is a conflict. Bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final
from uuid import UUID

MOST: Final = 100_000
"""Requests with an id of their own that one replica remembers: the horizon of a 409. The oldest are forgotten first."""


class Known(Enum):
    """What is known of a request."""

    NEW = auto()
    UNSURE = auto()
    """It came before and is not acknowledged, or not yet."""
    ACKNOWLEDGED = auto()
    CONFLICT = auto()


@dataclass(slots=True)
class Seen:
    """The last requests by id: the digest of the content, and whether the broker has acknowledged it."""

    most: int = MOST
    kept: OrderedDict[bytes, tuple[bytes, bool]] = field(default_factory=OrderedDict)

    def look(self, identity: UUID, digest: bytes) -> Known:
        """Say what is known, and remember the content if it is new: a second one that comes meanwhile is a conflict."""
        before = self.kept.get(identity.bytes)
        if before is None:
            self._keep(identity, digest, acknowledged=False)
            return Known.NEW
        if before[0] != digest:
            return Known.CONFLICT
        return Known.ACKNOWLEDGED if before[1] else Known.UNSURE

    def acknowledged(self, identity: UUID, digest: bytes) -> None:
        """The broker has it."""
        self._keep(identity, digest, acknowledged=True)

    def forget(self, identity: UUID) -> None:
        """Nothing of it was written."""
        self.kept.pop(identity.bytes, None)

    def _keep(self, identity: UUID, digest: bytes, *, acknowledged: bool) -> None:
        self.kept[identity.bytes] = (digest, acknowledged)
        self.kept.move_to_end(identity.bytes)
        if len(self.kept) > self.most:
            self.kept.popitem(last=False)
