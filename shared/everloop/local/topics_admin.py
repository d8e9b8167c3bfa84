"""Topics come from the registry: `python -m everloop.local.topics_admin HOST:PORT` creates those that are missing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from everloop.errors import EverloopError, FatalError, UsageError
from everloop.local.broker import wait_until_ready

TOPIC_ALREADY_EXISTS = 36
TIMEOUT_MS = 15_000
NEEDED = frozenset({"compression.type", "message.timestamp.type"})
"""Settings without which readers would not work."""


class Wanted(Protocol):
    """What of a registry's row matters here."""

    @property
    def name(self) -> str:
        """The topic."""

    @property
    def partitions(self) -> int:
        """How many, for ever."""

    @property
    def config(self) -> Mapping[str, str]:
        """The broker's settings for it."""


def registry() -> tuple[Wanted, ...]:
    """All rows of the registry."""
    from everloop.topics import TOPICS

    return tuple(TOPICS.values())


def create(broker: str, wanted: Iterable[Wanted] | None = None) -> list[str]:
    """Create what is missing, wait until it has leaders, and return the names that are new.

    Those that are there get what is `NEEDED`. Raises `UsageError` where a topic exists with another number of
    partitions, `FatalError` where the broker refuses.
    """
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    rows = tuple(registry() if wanted is None else wanted)
    try:
        client = KafkaAdminClient(bootstrap_servers=broker, request_timeout_ms=TIMEOUT_MS)
    except (KafkaError, OSError) as error:
        raise FatalError(f"no Kafka answers at {broker} ({type(error).__name__})") from error
    try:
        existing = {str(topic["name"]): len(topic["partitions"]) for topic in client.describe_topics()}
        missing = [topic for topic in rows if topic.name not in existing]
        refuse_other_partitions(rows, existing)
        set_needed(client, [topic for topic in rows if topic.name in existing])
        return create_missing(client, missing)
    except (KafkaError, OSError) as error:
        raise FatalError(f"Kafka at {broker} did not create the topics ({type(error).__name__})") from error
    finally:
        client.close()


def refuse_other_partitions(wanted: Iterable[Wanted], existing: Mapping[str, int]) -> None:
    """Raise `UsageError` for the first topic whose number of partitions is not the registry's."""
    for topic in wanted:
        if (found := existing.get(topic.name, topic.partitions)) != topic.partitions:
            message = (
                f"topic {topic.name} has {found} partitions, the registry says {topic.partitions}, and that number "
                "never changes (journals are placed by it): use another broker, or remove the topic with its data"
            )
            raise UsageError(message)


def set_needed(client: Any, existing: Iterable[Wanted]) -> None:  # noqa: ANN401 - kafka-python has no types
    """Bring topics of an earlier release to what readers rely on; how long records are kept is their owner's choice."""
    from kafka.admin import ConfigResource, ConfigResourceType

    wanted = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, {name: topic.config[name] for name in NEEDED})
        for topic in existing
        if topic.config.keys() >= NEEDED
    ]
    if wanted:
        client.alter_configs(wanted)


def create_missing(client: Any, missing: list[Wanted]) -> list[str]:  # noqa: ANN401 - kafka-python has no types
    """Create them in one request; one that somebody else created meanwhile is as good."""
    if not missing:
        return []
    request = {
        topic.name: {"num_partitions": topic.partitions, "replication_factor": -1, "configs": dict(topic.config)}
        for topic in missing
    }
    answer = client.create_topics(request, timeout_ms=TIMEOUT_MS, raise_errors=False)
    for topic in answer["topics"]:
        if topic["error_code"] not in {0, TOPIC_ALREADY_EXISTS}:
            raise FatalError(f"Kafka refuses topic {topic['name']}: {topic['error_message']}")
    client.wait_for_topics(list(request))
    return list(request)


def main(arguments: list[str]) -> int:
    """Wait for the broker, create the topics; 2 when a person must decide, 1 when the broker does not do it."""
    broker = arguments[0]
    if not wait_until_ready(broker, alive=lambda: True):
        sys.stderr.write(f"no Kafka answers at {broker}\n")
        return 1
    try:
        created = create(broker)
    except EverloopError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, UsageError) else 1
    sys.stderr.write(f"{len(created)} topics created\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
