"""`everloop events` and `alerts`: which events, in which order, and as they come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import orjson
import pytest
from typer.testing import Result

from everloop import events as e
from everloop import topics
from everloop.buckets import partition
from everloop.runtime.log import Message, Place
from tests.builders import NOON, a_loop, a_manifest
from tests.unit.cli.turns import WALL, Stack, a_full_turn, a_stack, a_window, refusal


def types(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [one["type"].removeprefix("io.everloop.").removesuffix(".v1") for one in orjson.loads(result.stdout)]


def an_alert(name: str, model: str = "fraud") -> e.AlertRaised:
    identity = e.named_id("AlertRaised", name)
    return e.AlertRaised(id=identity, time=NOON, model=model, name=name, severity="warning", summary="look here")


def rows(name: str) -> e.PredictionsLogged:
    return e.PredictionsLogged.named(name, NOON, "fraud", prediction_id=("a",), times=(1,), features={"amount": (1.0,)})


def test_all_topics_but_rows_in_the_order_of_append_times() -> None:
    stack = a_full_turn()
    stack.say(topics.PREDICTIONS, rows("1"))
    shown = types(stack.run("events", "--json"))
    assert shown[0] == "loop.applied"
    assert shown[-3:] == ["version.promoted", "traffic.planned", "turn.closed"]
    assert "predictions.logged" not in shown


def test_a_line_has_topic_type_model_sequence_and_figures() -> None:
    (line,) = a_full_turn().run("events", "--type", "version.refused").stdout.splitlines()
    words = " ".join(line.split()[2:])
    assert words == "verdicts ca5547d2 version.refused fraud #1 version 2 refused against 1: failed floor"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--topic", "verdicts"), ["version.refused", "version.passed"]),
        (("--topic", "everloop.verdicts.v1", "--limit", "1"), ["version.passed"]),
        (("--type", "turn.opened", "--type", "step.taken"), ["turn.opened", "turn.opened", "step.taken"]),
        (("--type", "turn.opened", "--limit", "1"), ["turn.opened"]),
        (("--limit", "0"), []),
        (("--model", "churn"), ["loop.applied"]),
        (("--topic", "predictions", "--limit", "1"), ["predictions.logged"]),
        (("--topic", "all", "--type", "predictions.logged"), ["predictions.logged", "predictions.logged"]),
    ],
)
def test_what_is_asked_for(words: tuple[str, ...], expected: list[str]) -> None:
    stack = a_full_turn()
    stack.apply(a_loop(model="churn"))
    stack.say(topics.PREDICTIONS, rows("1"), rows("2"))
    assert types(stack.run("events", "--json", *words)) == expected


def test_void_and_unreadable_records_are_left_out() -> None:
    stack = a_stack()
    stack.say(topics.DRIFT, a_window(0, "stable", e.Episode.NONE, share=0))
    loser = a_window(1, "stable", e.Episode.NONE, share=0).model_copy(update={"sequence": 1})
    stack.write(topics.DRIFT, loser, "fraud")
    stack.write(topics.TRAFFIC, None, "fraud:1")
    assert types(stack.run("events", "--json")) == ["window.judged"]


def test_a_long_topic_is_read_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everloop.cli.reading.CHUNK", 3)
    stack = a_stack()
    said = [an_alert(f"alert {number}") for number in range(10)]
    stack.say(topics.ALERTS, *said)
    shown = orjson.loads(stack.run("alerts", "--json", "--limit", "4").stdout)
    assert [one["data"]["name"] for one in shown] == ["alert 6", "alert 7", "alert 8", "alert 9"]


def test_alerts_of_one_model() -> None:
    stack = a_stack()
    stack.say(topics.ALERTS, an_alert("one"), an_alert("two", "churn"))
    assert "look here" in stack.run("alerts", "--model", "churn").stdout
    assert len(stack.run("alerts", "--model", "churn").stdout.splitlines()) == 1


def three_looks(stack: Stack) -> Callable[[], None]:
    """Something comes, nothing comes, the person ends it."""
    looks = iter([("later",), ()])

    def look() -> None:
        comes = next(looks, None)
        if comes is None:
            raise KeyboardInterrupt
        stack.say(topics.ALERTS, *map(an_alert, comes))

    return look


@pytest.mark.parametrize("command", ["events", "alerts"])
def test_following_shows_what_comes_once(command: str) -> None:
    stack = a_stack()
    stack.say(topics.ALERTS, an_alert("before"))
    stack.looks = three_looks(stack)
    result = stack.run(command, "--follow", "--json")
    assert result.exit_code == 0
    assert [orjson.loads(line)["data"]["name"] for line in result.stdout.splitlines()] == ["before", "later"]


def test_unknown_topics_and_types_are_refused_with_the_known_ones() -> None:
    assert "one of all, loops, clock" in refusal(a_stack().run("events", "--topic", "drif"), 2)
    assert "window.judged" in refusal(a_stack().run("events", "--type", "judged"), 2)


def test_json_says_the_place() -> None:
    stack = a_stack()
    stack.say(topics.ARCHIVE, a_manifest("outcomes", {0: 5}))
    (value,) = orjson.loads(stack.run("events", "--json").stdout)
    assert (value["topic"], value["offset"], value["data"]["rows"]) == (topics.ARCHIVE.name, 0, 5)
    assert value["data"]["topic"] == "everloop.outcomes.v1"


def test_rows_in_arrow_are_shown_as_those_in_json() -> None:
    stack = a_stack()
    stack.say(topics.PREDICTIONS, rows("1"))
    stack.write_arrow(rows("1"))
    one, other = orjson.loads(stack.run("events", "--topic", "predictions", "--json").stdout)
    assert one["data"] == other["data"]
    assert (one["id"], one["model"], one["time"]) == (other["id"], other["model"], other["time"])


def test_a_value_that_is_nested_too_deep_to_be_shown_hides_the_features_alone() -> None:
    stack = a_stack()
    deep = orjson.loads(b"[" * 900 + b"]" * 900)
    stack.write(topics.PREDICTIONS, rows("1"), "fraud")
    record = stack.broker.records[Place(topics.PREDICTIONS.name, partition("fraud", topics.PARTITIONS))][0]
    value = (record.value or b"").replace(b"[1.0]", b"[" + b"[" * 900 + b"]" * 900 + b"]")
    stack.broker.append(Message(record.place, b"k", value, record.headers))
    assert orjson.loads(value)["features"]["amount"] == [deep]
    shown = orjson.loads(stack.run("events", "--topic", "predictions", "--json").stdout)
    assert [one["data"]["prediction_id"] for one in shown] == [["a"], ["a"]]
    assert ["features" in one["data"] for one in shown] == [True, False]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("10m", ["third"]),
        ("1h", ["second", "third"]),
        ("2026-06-01T08:15", ["second", "third"]),
        ("2026-06-01T10:45:00+02:00", ["third"]),
        ("0s", []),
    ],
)
def test_what_was_appended_since(since: str, expected: list[str]) -> None:
    stack = a_stack()
    for minutes, name in ((90, "first"), (30, "second"), (5, "third")):
        stack.broker.now_ms = round((WALL - timedelta(minutes=minutes)).timestamp() * 1000)
        stack.say(topics.ALERTS, an_alert(name))
    shown = orjson.loads(stack.run("events", "--json", "--since", since).stdout)
    assert [one["data"]["name"] for one in shown] == expected


def test_a_since_that_is_no_time_is_refused() -> None:
    assert "a duration such as 15m" in refusal(a_stack().run("events", "--since", "yesterday"), 2)


def test_following_keeps_all_filters_and_writes_one_json_document_per_line() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    stack.say(topics.ALERTS, an_alert("before"), an_alert("other", "churn"))
    stack.looks = three_looks(stack)
    words = ("--model", "fraud", "--topic", "alerts", "--type", "alert.raised", "--since", "2020-01-01")
    stack.broker.now_ms = round(WALL.timestamp() * 1000)
    result = stack.run("events", "--follow", "--json", *words)
    assert [orjson.loads(line)["data"]["name"] for line in result.stdout.splitlines()] == ["later"]


def test_dead_letters_of_one_model_are_found_in_any_partition() -> None:
    stack = a_stack()
    for number in range(topics.PARTITIONS * 4):
        letter = e.DeadLettered.named(
            f"{number}", NOON, "unknown", topic=topics.LABELS.name, partition=0, offset=number, reason="malformed",
            stage="ingest.route", error="malformed: no JSON",
        )  # fmt: skip
        stack.write(topics.DLQ, letter, f"somewhere {number}")
    assert len(types(stack.run("events", "--topic", "dlq", "--model", "unknown", "--json"))) == topics.PARTITIONS * 4
