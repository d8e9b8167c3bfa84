"""The catalogue of bad input, of which the socket is part: real connections to a real server, among good traffic.

Nobody who keeps a connection busy locks out another one, and whatever is sent, there is no 5xx.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

import httpx
import orjson
import pytest

from everloop import topics
from everloop.connections import Patience
from everloop.events import PredictionsLogged
from everloop.http import LARGEST_BODY, serve_in_thread, service_app
from everloop.metrics import Metrics
from everloop.runtime.memory import MemoryLog
from everloop_ingest.adapters.door import Door, add_routes
from everloop_ingest.adapters.publisher import Limits, Publisher
from everloop_ingest.adapters.writers import LogWriter
from tests.unit.ingest.builders import NOON_MS, FakeWall, said

SHORT: Final = 0.2
"""Seconds that the server waits here."""
ANSWER_S: Final = 30.0
NUMBERS: Final = count()
HEAD: Final = b"POST /v1/predictions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@dataclass
class Served:
    """A door on a port, and what stands behind it."""

    port: int
    broker: MemoryLog
    metrics: Metrics

    def good(self) -> str:
        """Send one good row over a connection of its own; its id."""
        name = f"good-{next(NUMBERS)}"
        with socket.create_connection(("127.0.0.1", self.port), ANSWER_S) as one:
            one.sendall(request(row(name)))
            assert status(one) == 202
        return name

    def rows(self) -> list[str]:
        events = said(self.broker, topics.PREDICTIONS, PredictionsLogged)
        return [name for event in events for name in event.prediction_id]

    def failures(self) -> float:
        found = self.metrics.value("everloop_http_requests_total", route="/v1/predictions", status="5xx")
        return found + self.metrics.value("everloop_http_requests_total", route="other", status="5xx")


def row(name: str) -> bytes:
    return orjson.dumps({
        "model": "fraud", "version": "v1", "prediction_id": name, "time": NOON_MS, "features": {}, "score": 0.5,
    })  # fmt: skip


def request(body: bytes, *more: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in more)
    return HEAD + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def status(connection: socket.socket) -> int | None:
    """The status of the answer; None where the server hangs up without one."""
    connection.settimeout(ANSWER_S)
    first = b""
    try:
        while b"\r\n" not in first and (some := connection.recv(4_096)):
            first += some
    except ConnectionResetError:
        return None
    return int(first.split(b" ")[1]) if first else None


def hung_up(connection: socket.socket) -> bool:
    connection.settimeout(ANSWER_S)
    try:
        while connection.recv(4_096):
            pass
    except ConnectionResetError:
        pass
    return True


@contextmanager
def served(patience: Patience) -> Iterator[Served]:
    broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
    metrics = Metrics()
    app = service_app("ingest", metrics=metrics, ready=lambda: None)
    publisher = Publisher(LogWriter(broker.client()), metrics, Limits(gather_s=0))
    add_routes(app, Door(publisher, lambda: {"fraud"}, FakeWall(), metrics))
    server = serve_in_thread(app, 0, patience=patience)
    try:
        yield Served(server.port, broker, metrics)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def door() -> Iterator[Served]:
    with served(Patience(head_s=SHORT, body_s=SHORT)) as found:
        yield found


BAD: Final = {
    "half a head": (HEAD, 408),
    "half a request line": (b"POST /v1/pred", 408),
    "half a body": (request(row("half"))[:-10], 408),
    "a length that promises more": (HEAD + b"Content-Length: 1000\r\n\r\n" + row("more"), 408),
    "no body at all": (HEAD + b"Content-Length: 10\r\n\r\n", 408),
    "pieces without an end": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[1, 2\r\n", 408),
    "a piece that is none": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "a length and pieces": (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]", 400),
    "a length below zero": (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    "a length of twenty digits": (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    "a length that is too large": (HEAD + b"Content-Length: %d\r\n\r\n" % (LARGEST_BODY + 1), 413),
    "a head without end": (HEAD + b"X: " + b"y" * 200_000, 431),
    "a thousand headers without end": (HEAD + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 100) for n in range(1_000)), 431),
    "a header with NUL": (request(b"{}", b"X: a\0b"), 400),
    "a header with a bare line feed": (request(b"{}", b"X: a\nY"), 400),
    "a header without a name": (request(b"{}", b": a"), 400),
    "a folded header": (request(b"{}", b"X: a", b" b"), 400),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, 400),
    "another protocol": (b"GET / RTSP/9.9\r\n\r\n", 400),
    "a method that is none": (b"EVIL /v1/predictions HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a long query": (b"POST /v1/predictions?" + b"q" * 300_000, 431),
    "a path of odd bytes": (b"POST /v1/\xff\xfe HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
    "a path that climbs": (b"POST /v1/predictions/../../etc HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404),
    "a path with an escaped NUL": (b"POST /v1/predictions%00 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_on_the_wire_is_answered_and_costs_no_good_row(door: Served, name: str) -> None:
    sent, expected = BAD[name]
    before = {*door.rows()}
    with socket.create_connection(("127.0.0.1", door.port), ANSWER_S) as connection:
        connection.sendall(sent)
        good = door.good()
        assert status(connection) == expected
    assert {*door.rows()} - before == {good}
    assert door.failures() == 0


def dripped(connection: socket.socket, whole: bytes) -> None:
    """Send a byte at a time, until the other side has hung up."""
    with pytest.raises(OSError, match=r"(?i)pipe|reset"):
        _drip(connection, whole)


def _drip(connection: socket.socket, whole: bytes) -> None:
    for place in range(len(whole)):
        connection.sendall(whole[place : place + 1])
        time.sleep(SHORT / 20)


def test_a_body_that_comes_a_byte_at_a_time_is_given_up(door: Served) -> None:
    with socket.create_connection(("127.0.0.1", door.port), ANSWER_S) as connection:
        dripped(connection, request(row("slow") + b" " * 10_000))
    assert "slow" not in door.rows()
    door.good()


def test_a_stream_that_is_longer_than_its_head_says_ends_its_connection(door: Served) -> None:
    """What comes behind the body is taken for the next request, and is none."""
    with socket.create_connection(("127.0.0.1", door.port), ANSWER_S) as connection:
        connection.sendall(request(row("longer")) + b"x" * 100_000)
        assert status(connection) in {202, 400}
        assert hung_up(connection)
    assert door.rows().count("longer") <= 1
    door.good()
    assert door.failures() == 0


def test_a_client_that_hangs_up_in_its_body_is_no_error_of_ours(door: Served) -> None:
    for cut in (10, 40, 80):
        with socket.create_connection(("127.0.0.1", door.port), ANSWER_S) as connection:
            connection.sendall(request(row("gone"))[:-cut])
        door.good()
    assert "gone" not in door.rows()
    assert door.failures() == 0


def test_who_hangs_up_before_the_answer_and_asks_again_has_one_row(door: Served) -> None:
    whole = request(row(name := f"again-{next(NUMBERS)}"))
    with socket.create_connection(("127.0.0.1", door.port), ANSWER_S) as connection:
        connection.sendall(whole)
    with socket.create_connection(("127.0.0.1", door.port), ANSWER_S) as connection:
        connection.sendall(whole)
        assert status(connection) == 202
    events = {event.id for event in said(door.broker, topics.PREDICTIONS, PredictionsLogged)
              if event.prediction_id == (name,)}  # fmt: skip
    assert len(events) == 1, "the same request is the same record, which readers count once"


def test_a_thousand_silent_connections_lock_nobody_out() -> None:
    """Those who have sent a request before stay longest."""
    with served(Patience(head_s=60, body_s=60, most=100)) as door, ExitStack() as stack:
        kept = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{door.port}", timeout=ANSWER_S))
        headers = {"content-type": "application/json"}

        def ask() -> int:
            return kept.post("/v1/predictions", content=row(f"kept-{next(NUMBERS)}"), headers=headers).status_code

        assert ask() == 202
        for number in range(1_000):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", door.port), ANSWER_S))
            if number % 3:
                silent.sendall(HEAD if number % 3 == 1 else HEAD + b"Content-Length: 9\r\n\r\n")
            if number % 100 == 0:
                door.good()
                assert ask() == 202
        assert door.failures() == 0
