"""Broadcast reading: every replica reads all of it, to the end before its first decision (DESIGN rule 6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from everloop import topics
from everloop.codec import decode
from everloop.errors import InvalidError
from everloop.events import EVERY_MODEL, ClockMoved, Event, LoopApplied
from everloop.facts import Facts, fold
from everloop.loop import Loop
from everloop.names import PROBE
from everloop.runtime.journal import Validity
from everloop.runtime.log import Log, Place, Record, places_of


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock record and where it stands: the place and offset name the ticks that it makes."""

    place: Place
    offset: int
    moved: ClockMoved

    @property
    def name(self) -> str:
        """Names the record."""
        return f"{self.place.topic}/{self.place.partition}/{self.offset}"


class Broadcast:
    """One replica's reader of broadcast topics; `group` makes its progress visible."""

    def __init__(self, log: Log, names: Iterable[str], group: str) -> None:
        """Start before the first record of every place; nothing is read yet."""
        self.log = log
        self.group = group
        self.places = places_of(log, dict.fromkeys(names))
        self.positions = dict.fromkeys(self.places, 0)
        self.done = dict(self.positions)
        self.validity: dict[Place, Validity] = {}
        self.tail = log.tail()
        self.tail.seek(self.positions)

    def news(self) -> list[tuple[Record, Event | None]]:
        """What came since the last call, up to an end asked for now; None is a tombstone. Voids are left out."""
        return list(self.one_by_one())

    def one_by_one(self) -> Iterator[tuple[Record, Event | None]]:
        """The same, each read when its turn has come: a thousand profiles at once are 100 MB."""
        ends = self.log.ends(self.places)
        records = self.tail.read_to({place: end for place, end in ends.items() if end > self.positions[place]})
        self.positions.update(ends)
        for record in records:
            for event in self._read(record):
                yield record, event

    @property
    def behind(self) -> bool:
        """Whether more was read than committed; also what gives no news, such as void records, is to be committed."""
        return self.positions != self.done

    def commit(self) -> None:
        """Say how far the news has been acted on."""
        if self.behind:
            self.log.commit_as(self.group, self.positions)
            self.done = dict(self.positions)

    def _read(self, record: Record) -> list[Event | None]:
        if topics.TOPICS[record.place.topic].journal:
            event = self.validity.setdefault(record.place, Validity()).accept(record)
            return [event] if event else []
        if record.value is None:
            return [None]
        try:
            return [decode(record.value, record.headers)]
        except InvalidError:
            return []


@dataclass
class World:
    """What broadcasts have told so far: the rules, the clocks and the facts of every model."""

    loops: dict[str, Loop] = field(default_factory=dict)
    clocks: dict[str, Clock] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)

    def learn(self, record: Record, event: Event | None) -> None:
        """Fold one record; a tombstone takes a loop or a clock away, but not the probe's."""
        key = (record.key or b"").decode(errors="replace")
        match event:
            case _ if key == PROBE and record.place.topic == topics.LOOPS.name:
                pass
            case None if record.place.topic == topics.LOOPS.name:
                self.loops.pop(key, None)
            case None if record.place.topic == topics.CLOCK.name:
                self.clocks.pop(key, None)
            case LoopApplied():
                self.loops[event.model] = Loop.from_payload(event.loop)
            case ClockMoved():
                self.clocks[event.model] = Clock(record.place, record.offset, event)
            case Event():
                self.facts[event.model] = fold(self.facts.get(event.model, Facts()), event)

    def clock(self, model: str) -> Clock | None:
        """The model's own clock hides the clock of all."""
        return self.clocks.get(model) or self.clocks.get(EVERY_MODEL)
