"""The front door with a log in memory behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import orjson
from fastapi.testclient import TestClient
from httpx import Response

from everloop import topics
from everloop.errors import FatalError
from everloop.events import DeadLettered, PredictionsLogged
from everloop.http import service_app
from everloop.loop import Feedback
from everloop.metrics import Metrics
from everloop.runtime.memory import MemoryClient, MemoryLog
from everloop_ingest.adapters.door import Door, add_routes
from everloop_ingest.adapters.publisher import Limits, Publisher
from everloop_ingest.adapters.writers import LogWriter
from tests.unit.ingest.builders import FakeWall, said


@dataclass
class House:
    """The door, what is behind it, and what a test does with it."""

    client: TestClient
    broker: MemoryLog
    metrics: Metrics
    wall: FakeWall
    fails: list[bool]

    def predictions(self, body: object, **headers: str) -> Response:
        return self._post("/v1/predictions", body, headers)

    def labels(self, body: object, **headers: str) -> Response:
        return self._post("/v1/labels", body, headers)

    def feedback(self, body: object, **headers: str) -> Response:
        return self._post("/v1/feedback", body, headers)

    def post(self, path: str, content: bytes, headers: Mapping[str, str]) -> Response:
        answer: Response = self.client.post(path, content=content, headers=dict(headers))
        return answer

    def written(self) -> list[PredictionsLogged]:
        return said(self.broker, topics.PREDICTIONS, PredictionsLogged)

    def letters(self) -> list[DeadLettered]:
        return said(self.broker, topics.DLQ, DeadLettered)

    def _post(self, path: str, body: object, headers: dict[str, str]) -> Response:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.post(path, orjson.dumps(body), {"content-type": "application/json", **named})


@contextmanager
def a_house(most_waiting: int = 5) -> Iterator[House]:
    """The models `fraud` (two classes) and `price` (a number) are applied."""
    broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
    metrics, fails, wall = Metrics(), [False], FakeWall()
    metrics.know(["fraud"])

    def hook(*_: str) -> None:
        if fails[0]:
            raise FatalError("gone")

    publisher = Publisher(LogWriter(MemoryClient(broker, hook)), metrics, Limits(gather_s=0, most_waiting=most_waiting))
    app = service_app("ingest", metrics=metrics, ready=lambda: None)
    declared = {"click": Feedback(), "revenue": Feedback(least=0, most=1000)}

    def is_binary(model: str) -> bool:
        return model == "fraud"

    models = {"fraud", "price"}
    add_routes(app, Door(publisher, lambda: models, wall, metrics, is_binary, feedback=lambda _: declared))
    with TestClient(app) as client:
        yield House(client, broker, metrics, wall, fails)
