"""What ingest hears and says: three literal tables. Its rooms fold, nothing here decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from everloop import topics
from everloop.topics import Topic

HEARS: Final[Mapping[str, tuple[Topic, ...]]] = {
    "ingest.route": (topics.PREDICTIONS, topics.LABELS),
    "ingest.join": (topics.KEYS,),
    "ingest.archive": (topics.PREDICTIONS, topics.OUTCOMES),
}
"""What each room shares with the other replicas of its group."""

BROADCASTS: Final[Mapping[str, tuple[Topic, ...]]] = {
    "ingest.door": (topics.LOOPS, topics.CLOCK, topics.ROLLOUTS),
    "ingest.route": (topics.LOOPS,),
    "ingest.archive": (topics.LOOPS, topics.ARCHIVE),
    "ingest.keeper": (topics.LOOPS, topics.CLOCK, topics.ARCHIVE),
}
"""What every replica reads in full. Rooms read `books` when they are assigned."""

SAYS: Final[Mapping[str, tuple[Topic, ...]]] = {
    "ingest.door": (topics.PREDICTIONS, topics.LABELS, topics.CLOCK, topics.DLQ),
    "ingest.route": (topics.KEYS, topics.DLQ, topics.BOOKS),
    "ingest.join": (topics.OUTCOMES, topics.BOOKS),
    "ingest.archive": (topics.ARCHIVE, topics.BOOKS),
    "ingest.keeper": (topics.ARCHIVE,),
}
"""What each room writes."""
