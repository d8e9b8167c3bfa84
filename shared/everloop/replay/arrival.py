"""When all that was sent lies in the archive: each stage of ingest has read what the stage before it had written.

The ends are fixed stage by stage, so that traffic which goes on meanwhile holds nothing up. Outputs are acknowledged
before inputs are committed (DESIGN section 5): what a stage has committed, the next one finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from everloop.groups import PREFIX, ROOMS
from everloop.replay.quiescence import lag
from everloop.runtime.log import Log, Place, places_of

STAGES: Final = tuple(room for room in ROOMS if room.name in {"ingest.route", "ingest.join", "ingest.archive"})


class Arrival:
    """Follows what was on the log when it was first asked."""

    def __init__(self, log: Log) -> None:
        """Nothing is read yet."""
        self.log = log
        self.left = list(STAGES)
        self.ends: Mapping[Place, int] | None = None

    def missing(self) -> list[str]:
        """Name group, topic and lag of the stage that is behind; nothing when all of it is in the archive."""
        while self.left:
            if behind := self._behind():
                return behind
            self.left.pop(0)
            self.ends = None
        return []

    def _behind(self) -> list[str]:
        group = PREFIX + self.left[0].name
        places = places_of(self.log, [topic.name for topic in self.left[0].shared])
        if self.ends is None:
            self.ends = self.log.ends(places)
        known = self.log.committed(group, places)
        return [
            lag(group, place, known.get(place, 0), end) for place, end in self.ends.items() if known.get(place, 0) < end
        ]
