"""Feedback on its whole way in one process: from requests at the front door to windows, the archive and what is shown.

Two arms stand beside each other. What is shown is held against a computation from the rows themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from itertools import count

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydantic import JsonValue
from scipy import stats

from everloop import topics
from everloop.archive.listing import holdings
from everloop.archive.verifying import ends_of, said_of, verify
from everloop.books import audit, unbalanced
from everloop.buckets import buckets
from everloop.codec import decode
from everloop.dataset import load_rows
from everloop.errors import InvalidError
from everloop.events import (
    LATEST_MS,
    DeadLettered,
    Event,
    FileRef,
    HeartbeatSent,
    LoopApplied,
    Snapshot,
    WindowClosed,
)
from everloop.facts import Facts, fold
from everloop.http import service_app
from everloop.loop import Loop
from everloop.metrics import Metrics
from everloop.runtime.memory import MemoryClient
from everloop.simulation import Simulation
from everloop.snapshots import plan
from everloop.story.feedback import Line, told
from everloop_ingest.adapters.door import Door, add_routes
from everloop_ingest.adapters.publisher import Limits, Publisher
from everloop_ingest.adapters.writers import LogWriter
from tests.simulation.stack import LOOP, START, STORE, Shown, builds, publish, wall
from tests.simulation.window_stream import START_MS, a_version

HOUR_MS = 3_600_000
ROWS = 90
"""Of each arm and hour; three of each entity."""
ROOMS = ("route-0", "join-0", "archive-0", "windows-0", "merge-0")
RULES: Mapping[str, JsonValue] = {
    "windows": {"every": "1h", "grace": "0s", "min_rows": 30}, "labels": {"horizon": "2h"},
    "feedback": {"click": {}, "revenue": {"least": 0}}, "train": {}, "rollout": {},
}  # fmt: skip
ARMS = {"champion": "1", "candidate": "2"}


@dataclass
class Shop:
    """A model with two arms, the rooms between door and windows, and an application that says what rows brought."""

    deadly: bool = False
    hour: int = 0
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        """Start, apply the loop, make both versions known."""
        processes = builds(1, Shown())
        self.simulation = Simulation({name: processes[name] for name in ROOMS})
        self.loop = Loop.from_payload({**LOOP, **RULES, "model": "alpha"})
        applied = LoopApplied.named("alpha", START, "alpha", loop=self.loop.to_payload(), digest="d")
        self.say(topics.LOOPS, applied)
        for sequence, version in enumerate(ARMS.values(), 1):
            self.say(topics.TRAINING, a_version("alpha", version, sequence))
        self.brought: dict[tuple[str, str], float] = {}

    def say(self, topic: topics.Topic, event: Event, number: int | None = None) -> None:
        """Publish."""
        publish(self.simulation.client(), topic, event, number)

    def ids(self, arm: str, hour: int) -> list[str]:
        """The predictions of one arm in one hour."""
        return [f"{arm}-{hour}-{row}" for row in range(ROWS)]

    def entities(self, arm: str, hour: int) -> list[str]:
        """Whom they are about."""
        return [f"{arm}-{hour}-card{row // 3}" for row in range(ROWS)]

    def predict(self, client: TestClient, hour: int) -> None:
        """Log the predictions of both arms."""
        rng = np.random.default_rng(hour)
        for arm, version in ARMS.items():
            body = {
                "model": "alpha", "version": version, "arm": arm, "prediction_id": self.ids(arm, hour),
                "entity_id": self.entities(arm, hour),
                "times": [START_MS + hour * HOUR_MS + row * 1000 for row in range(ROWS)],
                "features": {"n": rng.normal(size=ROWS).tolist(), "w": ["a"] * ROWS}, "score": [0.5] * ROWS,
            }  # fmt: skip
            self.post(client, "predictions", body)

    def post(self, client: TestClient, path: str, body: object) -> None:
        """Send a request, which is accepted."""
        answer = client.post(f"/v1/{path}", json=body)
        assert answer.status_code == 202, answer.text

    def bring(self, client: TestClient, values: Sequence[tuple[str, str, float]], minutes: int) -> None:
        """Say what predictions brought, so many minutes after the present hour began."""
        at = START_MS + self.hour * HOUR_MS + minutes * 60_000
        rows = [{"prediction_id": one, "name": name, "value": value, "said_at": at} for one, name, value in values]
        self.post(client, "feedback", {"model": "alpha", "rows": rows})
        self.brought |= {(name, one): value for one, name, value in values}

    def pass_hour(self) -> None:
        """The next hour; whoever is to die dies."""
        self.hour += 1
        now = START_MS + self.hour * HOUR_MS
        for number in range(topics.PREDICTIONS.partitions):
            beat = HeartbeatSent.named(f"{now}/{number}", START, "*", replica="0", clocks={"*": now, "alpha": now})
            self.say(topics.PREDICTIONS, beat, number)
        self.settle()

    def settle(self) -> None:
        """To rest; where processes die they do so now."""
        if self.deadly:
            for name in ROOMS:
                self.simulation.kill(name)
        self.simulation.settle()

    def windows(self) -> list[WindowClosed]:
        """Windows of outcomes, each once."""
        records = self.simulation.broker.records
        said = [decode(one.value, one.headers) for place in records if place.topic == topics.WINDOWS.name
                for one in records[place]]  # fmt: skip
        found = {one.id: one for one in said if isinstance(one, WindowClosed) and one.kind == "outcomes"}
        return [*found.values()]

    def letters(self) -> list[DeadLettered]:
        """Dead letters."""
        records = self.simulation.broker.records
        said = [decode(one.value, one.headers) for place in records if place.topic == topics.DLQ.name
                for one in records[place]]  # fmt: skip
        return [one for one in said if isinstance(one, DeadLettered)]


@contextmanager
def the_door(shop: Shop) -> Iterator[TestClient]:
    """The front door, with the log of the shop behind it."""
    metrics = Metrics()
    publisher = Publisher(LogWriter(MemoryClient(shop.simulation.broker, lambda *_: None)), metrics, Limits(gather_s=0))
    app = service_app("ingest", metrics=metrics, ready=lambda: None)
    add_routes(app, Door(publisher, lambda: {"alpha"}, wall, metrics, feedback=lambda _: shop.loop.feedback or {}))
    with TestClient(app) as client:
        yield client


def played(*, deadly: bool) -> Shop:
    """Two hours of traffic; feedback before, in time, corrected, twice, too late, for nobody; then it is quiet."""
    shop = Shop(deadly)
    rng = np.random.default_rng(7)
    with the_door(shop) as client:
        shop.bring(client, [("champion-0-3", "revenue", 40.0), ("nobody", "revenue", 9.0)], 1)
        shop.settle()
        shop.predict(client, 0)
        for arm in ARMS:
            buyers = shop.ids(arm, 0)[::2]
            worth = np.round(rng.exponential(20 if arm == "champion" else 30, len(buyers)), 2).tolist()
            shop.bring(client, [(one, "revenue", value) for one, value in zip(buyers, worth, strict=True)], 30)
            shop.bring(client, [(one, "click", 1.0) for one in shop.ids(arm, 0)[::5]], 31)
        shop.settle()
        shop.bring(client, [("champion-0-0", "revenue", 0.0), ("candidate-0-2", "revenue", 99.25)], 50)
        again = {
            "model": "alpha",
            "prediction_id": "champion-0-0",
            "name": "revenue",
            "value": 1.0,
            "said_at": START_MS,
        }
        shop.post(client, "feedback", again)
        shop.settle()
        refused = client.post("/v1/feedback", json={**again, "name": "tips"})
        assert refused.status_code == 422
        shop.pass_hour()
        shop.predict(client, 1)
        for _ in range(3):
            shop.pass_hour()
        shop.post(client, "feedback", {**again, "prediction_id": "champion-0-1", "said_at": START_MS + 3 * HOUR_MS})
        for _ in range(3):
            shop.pass_hour()
    return shop


@pytest.fixture(scope="module")
def shop() -> Shop:
    """Without any fault."""
    return played(deadly=False)


def of(lines: Sequence[Line], name: str, arm: str) -> Line:
    """One line of several."""
    (found,) = [one for one in lines if (one.of.name, one.of.arm) == (name, arm)]
    return found


def expected(shop: Shop, name: str, arm: str) -> tuple[float, float, int]:
    """Mean, its cluster-robust error and the number of clusters, of the first hour."""
    whole = zip(shop.ids(arm, 0), buckets(shop.entities(arm, 0)).tolist(), strict=True)
    some = [(shop.brought[name, one], bucket) for one, bucket in whole if (name, one) in shop.brought]
    values, groups = np.array([value for value, _ in some]), np.array([bucket for _, bucket in some])
    distinct = np.unique(groups)
    residuals = np.array([(values - values.mean())[groups == one].sum() for one in distinct])
    error = math.sqrt((residuals**2).sum() * len(distinct) / (len(distinct) - 1)) / len(values)
    return float(values.mean()), error, len(distinct)


def test_what_rows_have_brought_is_shown_per_arm_with_its_interval(shop: Shop) -> None:
    first = told(shop.windows()[:1])[0]
    assert (first.start, first.end, first.windows) == (START_MS, START_MS + HOUR_MS, 1)
    for arm in ARMS:
        mean, error, groups = expected(shop, "revenue", arm)
        line = of(first.lines, "revenue", arm)
        assert line.worth.mean is not None
        assert line.worth.mean.value == pytest.approx(mean)
        assert line.worth.mean.error == pytest.approx(error)
        assert line.worth.mean.upper == pytest.approx(mean + stats.t.ppf(0.975, groups - 1) * error, rel=1e-4)
        assert line.worth.predicted == ROWS
        assert line.worth.coverage == line.worth.rows / ROWS
    assert of(first.lines, "click", "champion").worth.rows == ROWS / 5
    assert of(first.lines, "revenue", "champion").worth.rows == ROWS / 2 + 1
    ages = of(first.lines, "revenue", "candidate").worth
    assert ages.p50 is not None
    assert 25 * 60_000 < ages.p50 < 35 * 60_000
    more = of(first.lines, "revenue", "candidate").more
    champion, candidate = (expected(shop, "revenue", arm) for arm in ARMS)
    assert more is not None
    assert more.value == pytest.approx(candidate[0] - champion[0])
    assert more.error == pytest.approx(math.hypot(candidate[1], champion[1]))


def test_rows_that_brought_nothing_count_as_served_and_what_came_too_late_is_said(shop: Shop) -> None:
    windows = shop.windows()
    second = told(windows[:2])[0]
    line = of(second.lines, "revenue", "candidate")
    assert (line.worth.rows, line.worth.predicted, line.worth.coverage, line.worth.mean) == (0, ROWS, 0.0, None)
    together = told(windows[:2])[1]
    assert together.windows == 2
    assert of(together.lines, "click", "champion").worth.coverage == ROWS / 5 / (2 * ROWS)
    assert of(told(windows)[1].lines, "revenue", "champion").late == 1


def test_no_row_is_lost_nothing_undeclared_comes_in_and_the_archive_has_it(shop: Shop) -> None:
    assert unbalanced(audit(shop.simulation.client())) == []
    assert [(one.reason, one.where) for one in shop.letters()] == [("unknown_feedback", "rows.0.name")]
    report = verify(shop.simulation.client(), STORE)
    assert report.damages == []
    kinds = {one.kind: one.rows for one in holdings(shop.simulation.client())}
    met = len([one for _, one in shop.brought if one != "nobody"])
    assert kinds == {"predictions": 4 * ROWS, "feedback": met + 2 + 1}


def test_no_snapshot_takes_feedback_for_a_label(shop: Shop) -> None:
    """It is in no figure of labels, in no plan, and where a snapshot names it for labels it is refused."""
    facts = reduce(fold, (said for _, said in said_of(shop.simulation.client(), ends_of(shop.simulation.client(), None),
                                                      "alpha")), Facts())  # fmt: skip
    files = facts.files("feedback", 0, LATEST_MS)
    assert files
    assert (facts.archived_outcomes, facts.rows_since("outcomes", 0), facts.newest("outcomes")) == (0, 0, None)
    snapshot = plan(shop.loop, facts, all_rows=True)
    assert snapshot.outcomes == ()
    assert set(files).isdisjoint(snapshot.predictions)
    rows = facts.files("predictions", 0, LATEST_MS)
    whole = Snapshot(start=0, end=LATEST_MS, strategy="full", predictions=rows, outcomes=())
    assert load_rows(whole, fetch).empty
    with pytest.raises(InvalidError, match="label"):
        load_rows(whole.model_copy(update={"outcomes": files}), fetch)


def fetch(file: FileRef) -> bytes:
    """The bytes of a file."""
    return STORE.fetch(file.uri, file.sha256)


def test_whoever_dies_on_the_way_the_same_is_said(shop: Shop) -> None:
    again = played(deadly=True)
    assert [one.feedback for one in again.windows()] == [one.feedback for one in shop.windows()]
