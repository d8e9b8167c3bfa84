"""An independent reader: recounts topics from their bytes and holds the services' own figures against them."""

from __future__ import annotations

from collections import Counter

import orjson

from everloop import topics
from everloop.groups import expected
from everloop.runtime.log import Place
from everloop.simulation import Simulation

COUNTS = ("counted", "history", "late", "duplicate", "quarantined")

DRIFT = "drift.windows"
READ = (
    (DRIFT, topics.PREDICTIONS),
    (DRIFT, topics.OUTCOMES),
    ("ingest.route", topics.PREDICTIONS),
    ("ingest.route", topics.LABELS),
    ("ingest.join", topics.KEYS),
    ("ingest.archive", topics.PREDICTIONS),
    ("ingest.archive", topics.OUTCOMES),
)
"""Who accounts for the rows of which topic."""


def rows_in(simulation: Simulation, topic: topics.Topic) -> dict[int, int]:
    """Rows per partition, from raw JSON: shares no code with drift."""
    return {
        number: sum(
            len(orjson.loads(record.value or b"{}").get("prediction_id", ()))
            for record in simulation.broker.records[Place(topic.name, number)]
        )
        for number in range(topic.partitions)
    }


def kept(simulation: Simulation, topic: topics.Topic, group: str = DRIFT) -> dict[int, Counter[str]]:
    """What a group says has become of the rows of each partition: the record with the largest offset counts."""
    found: dict[int, tuple[int, Counter[str]]] = {number: (-1, Counter()) for number in range(topic.partitions)}
    for kept_on in (topics.PARTIALS, topics.BOOKS):
        for number in range(kept_on.partitions):
            for record in simulation.broker.records[Place(kept_on.name, number)]:
                said = orjson.loads(record.value or b"{}")
                ours = (said.get("group"), said.get("topic")) == (group, topic.name)
                if ours and said["offset"] >= found[said["partition"]][0]:
                    found[said["partition"]] = said["offset"], Counter({name: said[name] for name in COUNTS})
    return {number: counts for number, (_, counts) in found.items()}


def unbalanced(simulation: Simulation) -> list[str]:
    """The partitions of which the figures do not add up; empty when the books of all groups balance."""
    found = []
    for group, topic in READ:
        said = kept(simulation, topic, group)
        for number, rows in rows_in(simulation, topic).items():
            if said[number].total() != rows:
                found.append(f"{group} {topic.name}/{number}: {rows} rows, in the books {dict(said[number])}")
    return found


def lost(simulation: Simulation) -> Counter[str]:
    """Rows that drift has turned away, by reason; a lock-step run has none."""
    both = (kept(simulation, topic) for topic in (topics.PREDICTIONS, topics.OUTCOMES))
    totals = sum((counts for one in both for counts in one.values()), Counter())
    return Counter({name: totals[name] for name in ("late", "quarantined") if totals[name]})


def archived_twice(simulation: Simulation) -> list[str]:
    """Files of the archive that overlap: rows would be learned from twice."""
    found, ends = [], dict[tuple[str, int, str], int]()
    for number in range(topics.PARTITIONS):
        for record in simulation.broker.records[Place(topics.ARCHIVE.name, number)]:
            said = orjson.loads(record.value or b"{}")
            source = said["topic"], said["partition"], (record.key or b"").decode()
            if said["first_offset"] <= ends.get(source, -1):
                found.append(f"{source}: {said['first_offset']}-{said['last_offset']} after {ends[source]}")
            ends[source] = max(said["last_offset"], ends.get(source, -1))
    return found


def unread(simulation: Simulation, replicas: int) -> list[str]:
    """Groups that have not committed to the end: a stack at rest has none."""
    processes = ["ingest-worker", "drift-windows", "drift-judge", "trainer", "gatekeeper", "rollout", "serving"]
    named = [f"{name}-{n}" if n else name for name in processes for n in range(1 if name == "serving" else replicas)]
    found = []
    for group, names in expected(named).items():
        for name in names:
            for number in range(topics.TOPICS[name].partitions):
                end = len(simulation.broker.records[Place(name, number)])
                done = simulation.broker.offsets.get(group, {}).get(Place(name, number), 0)
                if done != end:
                    found.append(f"{group} {name}/{number}: {done} of {end}")
    return found
