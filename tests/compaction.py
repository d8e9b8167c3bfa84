"""What the broker's cleaner may leave of a compacted topic."""

from __future__ import annotations

from dataclasses import replace

from everloop.runtime.memory import MemoryLog
from everloop.topics import Topic


def compact(log: MemoryLog, topic: Topic) -> None:
    """Keep the last record of each key, as one who reads from the start finds it (offsets are counted anew)."""
    for place in [place for place in log.records if place.topic == topic.name]:
        newest = {record.key: record for record in log.records[place]}
        kept = [record for record in log.records[place] if newest[record.key] is record]
        log.records[place] = [replace(record, offset=number) for number, record in enumerate(kept)]
