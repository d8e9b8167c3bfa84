"""`docs/topics.md`: the topology and every topic, from the registry."""

from __future__ import annotations

from collections.abc import Iterable

from everloop.docs.text import fenced, page, table
from everloop.topics import ALL, DAY_MS, TOPICS, Topic

INTRODUCTION = """\
Services know each other only through these topics. They are created from [`topics.py`](../shared/everloop/topics.py)
by `everloop up`, and a test holds every service to it. A topic's name ends in its version: a change that an older
reader cannot take is a new topic. The same for programs: [asyncapi.yaml](asyncapi.yaml).

An arrow reads *writes to* or *is read by*. Every service also writes `everloop.alerts.v1` and `everloop.dlq.v1`,
which are left out of the picture."""
OUTSIDE = {"cli": "everloop (CLI)", "producers": "your producers", "subscribers": "your subscribers"}
QUIET = ("everloop.alerts.v1", "everloop.dlq.v1", "everloop.loops.v1", "everloop.clock.v1")
"""What nearly everybody writes or reads hides the flow; these stand in the table alone."""

HEAD = ("topic", "meaning", "key", "partition by", "producers", "consumers", "kept", "dead letters")
PLACING = """\
*Partition by* is what a record's partition follows from, whatever its key: `source` is the partition of the record that
was read, `any` promises nothing. Compacted topics keep the newest record of each key."""


def topics_page() -> str:
    """The whole page."""
    every = table(HEAD, map(_row, TOPICS.values()))
    notes = "`loops` and `clock`, which nearly every service reads, are left out of the picture as well."
    whole = ("## All topics", PLACING, every, *map(_section, TOPICS.values()))
    return page("Topics", INTRODUCTION, notes, fenced("mermaid", topology()), *whole)


def topology() -> str:
    """The flow as a Mermaid graph: services are boxes, topics are rounded."""
    lines = ["flowchart LR"]
    shown = [topic for topic in TOPICS.values() if topic.name not in QUIET]
    lines += [f'  {name}["{OUTSIDE.get(name, name)}"]' for name in _actors(shown)]
    lines += [f"  {_short(topic)}_t([{_short(topic)}])" for topic in shown]
    for topic in shown:
        lines += [f"  {name} --> {_short(topic)}_t" for name in topic.producers]
        lines += [f"  {_short(topic)}_t --> {name}" for name in topic.consumers]
    return "\n".join(lines)


def _actors(shown: Iterable[Topic]) -> list[str]:
    known = {name for topic in shown for name in (*topic.producers, *topic.consumers)}
    return [name for name in (*OUTSIDE, *ALL) if name in known]


def _short(topic: Topic) -> str:
    return topic.name.split(".")[1]


def _row(topic: Topic) -> tuple[str, ...]:
    link = f"[`{topic.name}`](#{topic.name.replace('.', '')})"
    dead = "yes" if topic.dead_letters else "no"
    placed = topic.key, topic.placed_by
    return link, topic.meaning, *placed, _names(topic.producers), _names(topic.consumers), kept(topic), dead


def _names(names: Iterable[str]) -> str:
    found = tuple(names)
    return "every service" if found == ALL else ", ".join(found)


def kept(topic: Topic) -> str:
    """How long records stay, in words."""
    match topic.cleanup:
        case "forever":
            return "for ever"
        case "compact":
            return "newest per key"
        case "time":
            return f"{topic.retention_ms // DAY_MS} days"


def _section(topic: Topic) -> str:
    journal = " It is a journal: one decision is one record, numbered by `sequence` per model." if topic.journal else ""
    events = "\n".join(f"- [`{kind.TYPE}`](events.md#{kind.TYPE.replace('.', '')})" for kind in topic.events)
    settings = ", ".join(f"`{name}={value}`" for name, value in sorted(topic.config.items()))
    about = f"{topic.meaning[0].upper()}{topic.meaning[1:]}; {topic.partitions} partitions.{journal}"
    return "\n\n".join([f"### {topic.name}", about, events, f"Broker settings: {settings}."])
