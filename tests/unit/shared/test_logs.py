"""A log line is one line, whatever is logged."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
import structlog

from everloop.events import TrainingSkipped
from everloop.logs import LONGEST, about, configure, strip

TURN = UUID("00000000-0000-4000-8000-000000000001")


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure("ingest", "0", out=stream)
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def _lines(out: io.StringIO) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_json_with_service_and_replica(out: io.StringIO) -> None:
    structlog.get_logger().info("ready", port=18000)
    (line,) = _lines(out)
    assert (line["event"], line["service"], line["replica"], line["level"], line["port"]) == (
        "ready", "ingest", "0", "info", 18000,
    )  # fmt: skip


def test_the_turn_of_the_loop_is_on_the_line(out: io.StringIO) -> None:
    reason = {"rule": "deadline"}
    event = TrainingSkipped.named("x", datetime(2026, 1, 1, tzinfo=UTC), "fraud", correlation_id=TURN, reason=reason)
    with about(event):
        structlog.get_logger().info("skipped")
    structlog.get_logger().info("after")
    inside, after = _lines(out)
    assert (inside["correlation_id"], inside["model"]) == (str(TURN), "fraud")
    assert "correlation_id" not in after


def test_an_attacker_cannot_forge_a_line(out: io.StringIO) -> None:
    structlog.get_logger().info("said", text='a\n{"event":"forged"}\r\x1b[2J\u2028b\u202e')
    (line,) = _lines(out)
    assert line["text"] == 'a {"event":"forged"} b'


def test_payloads_are_not_logged(out: io.StringIO) -> None:
    structlog.get_logger().info("said", features={"card": "4111"}, body=b"4111", many=["4111"], long="x" * 10_000)
    (line,) = _lines(out)
    assert "4111" not in out.getvalue()
    assert (line["features"], line["long"]) == ("<dict>", "x" * LONGEST)


def test_an_error_shows_its_type_alone(out: io.StringIO) -> None:
    try:
        int("4111x")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = _lines(out)
    assert line["error"] == "ValueError"
    assert "4111" not in out.getvalue()


def test_libraries_log_in_the_same_form(out: io.StringIO) -> None:
    logging.getLogger("some.library").warning("odd\n%s", "\x1b[31mthing")
    logging.getLogger("some.library").info("chatter")
    (line,) = _lines(out)
    assert (line["event"], line["logger"], line["service"]) == ("odd thing", "some.library", "ingest")


def test_a_lone_surrogate_is_no_error() -> None:
    assert strip("a\ud800b") == "a?b"
