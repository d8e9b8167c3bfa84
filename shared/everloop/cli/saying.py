"""Say what a person says on a topic, and wait for the acknowledgement."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from everloop.events import Event
    from everloop.runtime.log import Log
    from everloop.topics import Topic


def publish(log: Log, topic: Topic, event: Event, wall: datetime) -> None:
    """Write one event, keyed and placed by its model. Raises `FatalError` when it is not acknowledged."""
    from everloop.buckets import partition
    from everloop.codec import encode
    from everloop.runtime.log import Message, Place

    value, headers = encode(event, source="cli", recorded=wall)
    place = Place(topic.name, partition(event.model, log.partitions(topic.name)))
    log.publish([Message(place, event.model.encode(), value, headers)])
