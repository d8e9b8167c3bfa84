"""Rows that the model's version was not made for: told of by default, refused where the loop file asks for that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from everloop import topics
from everloop.buckets import partition
from everloop.events import (
    DeadLettered,
    FileRef,
    PredictionsLogged,
    Reason,
    RolloutStarted,
    SignedVerdict,
    VersionPromoted,
    VersionRolledBack,
)
from everloop.http import service_app
from everloop.loop import Loop
from everloop.metrics import Metrics
from everloop.runtime.memory import MemoryLog
from everloop_ingest.adapters.beats import Beater
from everloop_ingest.adapters.door import Door, add_routes
from everloop_ingest.adapters.publisher import Limits, Publisher
from everloop_ingest.adapters.writers import LogWriter
from everloop_ingest.domain.signatures import MOST_NAMED, MOST_VERSIONS, UNKNOWN, Signature, Signatures, Unlike, learn
from tests.unit.ingest.builders import LOOP, NOON, NOON_MS, FakeWall, apply_loop, said, write

KINDS = {"amount": "numeric", "age": "numeric", "shop": "categorical"}
CHAMPION = Signature(KINDS)
GOOD: dict[str, Any] = {"amount": [1.5, 2], "age": [None, 3], "shop": ["x", 7]}


# ---------------------------------------------------------------------------------------------------------- by columns


def test_what_is_as_the_version_knows_it_is_nothing_to_tell() -> None:
    assert CHAMPION.unlike(GOOD) == []
    assert CHAMPION.unlike({**GOOD, "age": [True, False]}) == []


def test_each_rule_names_its_feature_and_its_rows() -> None:
    found = CHAMPION.unlike({"amount": [1.0, "two"], "shop": ["x", "y"], "new": [1, 2]})
    assert found == [
        Unlike("age", "missing_feature"), Unlike("new", "unknown_feature"), Unlike("amount", "no_number", [1]),
    ]  # fmt: skip


def test_of_thousands_of_wrong_features_a_few_are_named() -> None:
    assert len(CHAMPION.unlike({str(number): [1] for number in range(2_000)})) == MOST_NAMED


# ------------------------------------------------------------------------------------------------------ following them


def a_verdict(version: str, **features: str) -> SignedVerdict:
    return SignedVerdict(
        model="fraud", version=version, artifact=FileRef(uri="file:///none", sha256="0"), features=features,
        task="binary", champion=None, passed_at=NOON,
    )  # fmt: skip


def promoted(version: str, **features: str) -> VersionPromoted:
    return VersionPromoted.named(
        version, NOON, "fraud", version=version, previous=None, verdict=a_verdict(version, **features), salt="s",
        reason=Reason(rule="r"),
    )  # fmt: skip


def test_rows_are_held_against_their_version_else_against_the_champion() -> None:
    known = learn(UNKNOWN, promoted("1", a="numeric"))
    started = RolloutStarted.named(
        "2", NOON, "fraud", version="2", champion="1", verdict=a_verdict("2", b="numeric"), deadline=NOON, salt="s"
    )
    known = learn(known, started)
    assert [known.of(version) for version in ("1", "2", "7", None)] == [
        Signature({"a": "numeric"}), Signature({"b": "numeric"}), Signature({"a": "numeric"}),
        Signature({"a": "numeric"}),
    ]  # fmt: skip
    back = VersionRolledBack.named(
        "back", NOON, "fraud", version="2", champion="1", verdict=a_verdict("1", a="numeric"), salt="s",
        reason=Reason(rule="r"),
    )  # fmt: skip
    assert learn(learn(known, promoted("2", b="numeric")), back).champion == "1"


def test_versions_are_not_remembered_without_end() -> None:
    known = UNKNOWN
    for number in range(2 * MOST_VERSIONS):
        known = learn(known, promoted(str(number), a="numeric"))
    assert len(known.versions) == MOST_VERSIONS
    assert known.of(str(2 * MOST_VERSIONS - 1)) is not None


# ---------------------------------------------------------------------------------------------------------- at the door


@dataclass
class House:
    """A door that knows a champion."""

    client: TestClient
    broker: MemoryLog
    metrics: Metrics
    refuses: list[bool] = field(default_factory=lambda: [False])

    def send(self, features: object, path: str = "/v1/predictions", **changed: object) -> Response:
        body = {
            "model": "fraud", "version": "1", "prediction_id": ["a", "b"], "times": [NOON_MS, NOON_MS],
            "features": features, "score": [0.1, 0.2], **changed,
        }  # fmt: skip
        answer: Response = self.client.post(path, json=body)
        return answer

    def rows(self) -> list[str]:
        return [name for one in said(self.broker, topics.PREDICTIONS, PredictionsLogged) for name in one.prediction_id]

    def letters(self) -> list[DeadLettered]:
        return said(self.broker, topics.DLQ, DeadLettered)

    def counted(self, reason: str) -> float:
        return self.metrics.value("everloop_signature_warnings_total", model="fraud", reason=reason)


@pytest.fixture
def house() -> Iterator[House]:
    broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
    metrics, refuses = Metrics(), [False]
    metrics.know(["fraud"])

    def signatures(_: str) -> Signatures:
        return Signatures({"1": CHAMPION}, "1", refuses[0])

    app = service_app("ingest", metrics=metrics, ready=lambda: None)
    publisher = Publisher(LogWriter(broker.client()), metrics, Limits(gather_s=0, most_waiting=100))
    add_routes(app, Door(publisher, lambda: {"fraud"}, FakeWall(), metrics, signatures=signatures))
    with TestClient(app) as client:
        yield House(client, broker, metrics, refuses)


def rules(item: dict[str, Any], key: str = "warnings") -> list[tuple[str, str]]:
    return [(one["where"], one["rule"]) for one in item.get(key, [])]


UNLIKE: dict[str, Any] = {"amount": [1, "hunter2"], "age": [1, 2], "shop": ["x", "y"]}


def test_by_default_rows_are_taken_and_each_is_told(house: House) -> None:
    answer = house.send(UNLIKE)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    first, second = answer.json()["items"]
    assert "warnings" not in first
    assert rules(second) == [("features.amount.1", "no_number")]
    assert "hunter2" not in answer.text
    assert house.rows() == ["a", "b"]
    assert house.letters() == []
    assert house.counted("no_number") == 1


def test_good_rows_are_answered_as_ever(house: House) -> None:
    assert house.send(GOOD).json()["items"] == [
        {"status": 202, "prediction_id": "a"}, {"status": 202, "prediction_id": "b"},
    ]  # fmt: skip


def test_missing_and_unknown_features_concern_each_row(house: House) -> None:
    items = house.send({"amount": [1, 2], "shop": ["x", "y"], "new": [1, 2]}).json()["items"]
    assert [rules(item) for item in items] == [
        [("features.age", "missing_feature"), ("features.new", "unknown_feature")]
    ] * 2
    assert (house.counted("missing_feature"), house.counted("unknown_feature")) == (2, 2)


def test_a_bootstrap_is_held_against_nothing(house: House) -> None:
    assert "warnings" not in house.send({"x": [1, 2]}, source="bootstrap").text


@pytest.mark.parametrize("form", ["row", "rows", "careful"])
def test_every_form_is_told(house: House, form: str) -> None:
    if form == "row":
        row = {"prediction_id": "a", "time": NOON_MS, "features": {"amount": "x", "age": 1, "shop": "y"}, "score": 0.5}
        answer = house.client.post("/v1/predictions", json={"model": "fraud", "version": "1", **row})
    elif form == "rows":
        row = {"prediction_id": "a", "time": NOON_MS, "features": {"amount": "x", "age": 1, "shop": "y"}, "score": 0.5}
        answer = house.client.post("/v1/predictions", json={"model": "fraud", "version": "1", "rows": [row]})
    else:  # a bad row among them, so that each cell is looked at
        answer = house.send({"amount": [[], "x"], "age": [1, 1], "shop": ["x", "y"]})
    item = answer.json()["items"][-1]
    place = 1 if form == "careful" else 0
    assert rules(item) == [(f"features.amount.{place}", "no_number")]


def test_events_are_told_where_their_data_is(house: House) -> None:
    data = {
        "version": "1", "prediction_id": ["a"], "times": [NOON_MS], "features": {"amount": [1], "shop": ["x"]},
        "score": [0.5],
    }  # fmt: skip
    told = {"specversion": "1.0", "id": "1", "source": "/s", "type": PredictionsLogged.TYPE, "subject": "fraud"}
    event = {**told, "data": data}
    answer = house.client.post("/v1/events", json=event, headers={"content-type": "application/cloudevents+json"})
    assert rules(answer.json()["items"][0]) == [("data.features.age", "missing_feature")]


def test_a_loop_file_may_ask_for_refusals_which_cost_no_good_row(house: House) -> None:
    house.refuses[0] = True
    answer = house.send(UNLIKE)
    assert (answer.status_code, answer.json()["accepted"], answer.json()["refused"]) == (202, 1, 1)
    assert rules(answer.json()["items"][1], "errors") == [("features.amount.1", "no_number")]
    assert house.rows() == ["a"]
    (letter,) = house.letters()
    assert letter.reason == "shape"
    rows = [
        {"prediction_id": name, "time": NOON_MS, "features": {"amount": amount, "age": 1, "shop": "y"}, "score": 0.5}
        for name, amount in (("c", "x"), ("d", 1))
    ]
    items = house.client.post("/v1/predictions", json={"model": "fraud", "version": "1", "rows": rows}).json()["items"]
    assert [item["status"] for item in items] == [422, 202]
    assert house.counted("no_number") == 0


def test_a_request_of_which_no_row_is_left_is_refused_as_a_whole(house: House) -> None:
    house.refuses[0] = True
    answer = house.send({"amount": [1, 2], "shop": ["x", "y"]})
    assert answer.status_code == 422
    assert rules(answer.json(), "errors") == [("features.age", "missing_feature")]
    assert house.rows() == []
    assert [letter.reason for letter in house.letters()] == ["shape"]


def test_the_door_follows_rollouts_and_loop_files() -> None:
    broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
    beater = Beater(broker.client(), replica="0", wall=FakeWall(), metrics=Metrics())
    assert beater.signatures("fraud") == UNKNOWN
    apply_loop(broker.client())
    started = RolloutStarted.named(
        "1", NOON, "fraud", sequence=1, version="1", champion="", verdict=a_verdict("1", a="numeric"), deadline=NOON,
        salt="s",
    )  # fmt: skip
    write(broker.client(), topics.ROLLOUTS, partition("fraud", topics.PARTITIONS), started)
    beater.step()
    assert beater.signatures("fraud").of("1") == Signature({"a": "numeric"})
    assert not beater.signatures("fraud").refuses
    assert LOOP.door.signature == "warn"
    strict = Loop.from_payload({**LOOP.to_payload(), "door": {"signature": "refuse"}})
    beater.world.loops["fraud"] = strict
    assert beater.signatures("fraud").refuses
