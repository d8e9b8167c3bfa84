"""Plans, rows, fake models and a server on the log in memory, for the tests of serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from everloop import events as e
from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.errors import InvalidError
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryLog
from everloop.signing import PublicKey
from everloop_serving.domain.records import Rows
from everloop_serving.domain.splitting import Lease
from everloop_serving.handlers import Scoring, Server
from tests.builders import NOON, millis

NOON_MS = millis(NOON)


def a_digest(version: str) -> str:
    """The digest of the made-up bytes of a version."""
    return sha256(version.encode()).hexdigest()


def a_verdict(version: str, *, model: str = "fraud", about: str | None = None) -> e.SignedVerdict:
    """A verdict without a signature."""
    artifact = e.FileRef(uri=f"memory://model/{version}", sha256=a_digest(version))
    return e.SignedVerdict(
        model=model, version=about or version, artifact=artifact, features={"amount": "numeric"}, task="binary",
        champion=None, passed_at=NOON,
    )  # fmt: skip


def an_arm(arm: str, version: str, weight: float, verdict: e.SignedVerdict | None = None) -> e.ArmPlan:
    """One arm."""
    return e.ArmPlan(arm=arm, version=version, weight=weight, verdict=verdict or a_verdict(version))


def a_plan(
    epoch: int = 1,
    weight: float = 0.0,
    *,
    champion: str = "1",
    salt: str = "salt",
    shadow: str | None = None,
    ttl_s: float = 30.0,
) -> e.TrafficPlanned:
    """The champion, with a candidate where it has a weight."""
    arms = (an_arm("champion", champion, 1 - weight), an_arm("candidate", "2", weight))
    return e.TrafficPlanned.named(
        f"plan/{epoch}", NOON, "fraud", epoch=epoch, salt=salt, ttl_s=ttl_s, arms=arms if weight else arms[:1],
        shadow=an_arm("shadow", shadow, 0.0) if shadow else None,
    )  # fmt: skip


def a_lease(plan: e.TrafficPlanned, appended_ms: int = NOON_MS) -> Lease:
    """A plan that was appended at noon."""
    return Lease(plan, appended_ms)


def some_rows(count: int = 4, first: int = 0) -> Rows:
    """Rows of one feature, whose value is the number of the row, each of an entity of its own."""
    numbers = range(first, first + count)
    return Rows(
        prediction_id=[f"p{number}" for number in numbers],
        times=[NOON_MS + number for number in numbers],
        features={"amount": [float(number) for number in numbers]},
        entity_id=[f"card{number}" for number in numbers],
    )


@dataclass
class Constant:
    """A model that always says the same."""

    value: float

    def score(self, columns: Mapping[str, Sequence[object]]) -> NDArray[np.float64]:
        return np.full(len(next(iter(columns.values()))), self.value)


class Broken:
    """A model that raises on every row."""

    def score(self, columns: Mapping[str, Sequence[object]]) -> NDArray[np.float64]:
        raise ZeroDivisionError


@dataclass
class Shelf:
    """Models by version: version `1` says 0.1, `2` says 0.2, and so on. A fetch of what is `loading` has to wait."""

    models: dict[str, Scoring] = field(default_factory=lambda: {str(n): Constant(n / 10) for n in range(1, 10)})
    loading: set[str] = field(default_factory=set)
    refusing: dict[str, str] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def fetch(self, verdict: e.SignedVerdict) -> Scoring | None:
        if verdict.version in self.loading:
            return None
        self.fetched.append(verdict.version)
        if verdict.version in self.refusing:
            raise InvalidError(self.refusing[verdict.version], "not these bytes")
        return self.models[verdict.version]


class Stand:
    """A server on the log in memory, a shelf of models, and a wall clock that stands at noon until it is moved."""

    def __init__(self, public: PublicKey | None = None) -> None:
        self.broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
        self.broker.now_ms = NOON_MS
        self.shelf = Shelf()
        self.server = Server(self.broker.client(), self.shelf.fetch, public, self.now)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.broker.now_ms / 1000, UTC)

    def pass_time(self, seconds: float) -> None:
        self.broker.now_ms += round(seconds * 1000)

    def say(self, event: e.TrafficPlanned | e.LoopApplied, key: str | None = None) -> None:
        """Put an event on its topic."""
        is_plan = isinstance(event, e.TrafficPlanned)
        usual = f"{event.model}:{event.epoch}" if isinstance(event, e.TrafficPlanned) else event.model
        value, headers = encode(event, source="rollout", recorded=NOON)
        place = Place((topics.TRAFFIC if is_plan else topics.LOOPS).name, partition(event.model, topics.PARTITIONS))
        self.broker.append(Message(place, (key or usual).encode(), value, headers))

    def bury(self, epoch: int, model: str = "fraud") -> None:
        """Put the tombstone of a plan on the log."""
        place = Place(topics.TRAFFIC.name, partition(model, topics.PARTITIONS))
        self.broker.append(Message(place, f"{model}:{epoch}".encode(), None))

    def hear(self, *plans: e.TrafficPlanned) -> None:
        """Say plans and let the server hear them."""
        for plan in plans:
            self.say(plan)
        self.server.step()

    def epoch(self) -> int | None:
        """The epoch that is obeyed."""
        live = self.server.live.get("fraud")
        return live.lease.plan.epoch if live else None

    def logged(self) -> list[e.PredictionsLogged]:
        """What is on `predictions`, by first prediction id."""
        found = [event for event in self.read(topics.PREDICTIONS) if isinstance(event, e.PredictionsLogged)]
        return sorted(found, key=lambda event: event.prediction_id)

    def alerts(self) -> list[e.AlertRaised]:
        """What is on `alerts`."""
        return [event for event in self.read(topics.ALERTS) if isinstance(event, e.AlertRaised)]

    def read(self, topic: topics.Topic) -> list[e.Event]:
        """All events of a topic."""
        places = [Place(topic.name, number) for number in range(topic.partitions)]
        return [decode(record.value, record.headers) for place in places for record in self.broker.records[place]]

    def lag(self) -> int:
        """How many records of `traffic` the server's group has not committed."""
        places = [Place(topics.TRAFFIC.name, number) for number in range(topics.PARTITIONS)]
        committed = self.broker.client().committed(self.server.group, places)
        return sum(len(self.broker.records[place]) - committed[place] for place in places)
