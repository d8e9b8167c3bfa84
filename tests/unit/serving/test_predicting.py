"""What is answered and what is logged: one record per arm, each prediction id once, the shadow beside the champion."""

from __future__ import annotations

import pytest

from everloop import events as e
from everloop.runtime.memory import MemoryLog
from everloop_serving.handlers import NoChampionError, StartingError, UnknownModelError
from tests.builders import NOON
from tests.unit.serving.builders import Broken, Constant, Stand, a_digest, a_plan, some_rows


def test_before_the_first_champion_nobody_answers() -> None:
    stand = Stand()
    with pytest.raises(StartingError):
        stand.server.predict("fraud", some_rows(), NOON)
    stand.server.step()
    with pytest.raises(UnknownModelError):
        stand.server.predict("fraud", some_rows(), NOON)
    stand.say(e.LoopApplied.named("loop", NOON, "fraud", loop={}, digest=""))
    stand.server.step()
    with pytest.raises(NoChampionError):
        stand.server.predict("fraud", some_rows(), NOON)


def test_answers_come_in_the_order_of_the_rows_and_are_logged_per_arm() -> None:
    stand = Stand()
    stand.hear(a_plan(4, 0.5))
    answers = stand.server.predict("fraud", some_rows(40), NOON)
    assert [answer.prediction_id for answer in answers] == [f"p{number}" for number in range(40)]
    assert {(answer.arm, answer.version, answer.score) for answer in answers} == {
        ("champion", "1", 0.1),
        ("candidate", "2", 0.2),
    }
    logged = stand.logged()
    assert {(event.arm, event.version, event.digest, event.epoch, event.source) for event in logged} == {
        ("champion", "1", a_digest("1"), 4, "serving"),
        ("candidate", "2", a_digest("2"), 4, "serving"),
    }
    assert {row: event.arm for event in logged for row in event.prediction_id} == {
        answer.prediction_id: answer.arm for answer in answers
    }
    for event in logged:
        numbers = [int(row[1:]) for row in event.prediction_id]
        assert event.features["amount"] == tuple(map(float, numbers))
        assert event.entities == tuple(f"card{number}" for number in numbers)
        assert event.latency_ms is not None
        assert all(latency is not None and latency >= 0 for latency in event.latency_ms)


def test_the_shadow_scores_the_champions_rows_only_and_answers_nobody() -> None:
    stand = Stand()
    stand.hear(a_plan(1, 0.5, shadow="2"))
    answers = stand.server.predict("fraud", some_rows(40), NOON)
    by_arm = {event.arm: event for event in stand.logged()}
    shadow = by_arm["champion"].shadow
    assert shadow is not None
    assert (shadow.version, set(shadow.score)) == ("2", {0.2})
    assert by_arm["candidate"].shadow is None
    assert {answer.arm for answer in answers} == {"champion", "candidate"}


def test_a_failing_shadow_costs_the_champion_nothing() -> None:
    stand = Stand()
    stand.shelf.models["2"] = Broken()
    stand.hear(a_plan(1, shadow="2"))
    assert {answer.score for answer in stand.server.predict("fraud", some_rows(), NOON)} == {0.1}
    (event,) = stand.logged()
    assert event.shadow == e.ShadowScores(version="2", score=(None,) * 4)
    assert event.status == ("ok",) * 4


def test_what_a_candidate_fails_on_the_champion_answers_and_the_error_stays_the_candidates() -> None:
    stand = Stand()
    stand.shelf.models["2"] = Broken()
    stand.hear(a_plan(1, 1.0))
    answers = stand.server.predict("fraud", some_rows(), NOON)
    assert {(answer.arm, answer.version, answer.score, answer.status) for answer in answers} == {
        ("champion", "1", 0.1, "ok")
    }
    (event,) = stand.logged()
    assert (event.arm, event.score, event.status) == ("candidate", (None,) * 4, ("error",) * 4)
    assert (
        stand.server.metrics.value("everloop_scored_rows_total", model="fraud", arm="candidate", outcome="error") == 4
    )


def test_rows_that_the_champion_fails_on_are_logged_as_errors() -> None:
    stand = Stand()
    stand.shelf.models["1"] = Broken()
    stand.hear(a_plan(1))
    assert {(row.score, row.status) for row in stand.server.predict("fraud", some_rows(), NOON)} == {(None, "error")}
    (event,) = stand.logged()
    assert event.status == ("error",) * 4


def test_a_score_that_is_no_finite_number_is_an_error() -> None:
    stand = Stand()
    stand.shelf.models["1"] = Constant(float("nan"))
    stand.hear(a_plan(1))
    assert {row.status for row in stand.server.predict("fraud", some_rows(), NOON)} == {"error"}


def test_a_repeated_request_is_the_same_record_and_another_one_is_not() -> None:
    stand = Stand()
    stand.hear(a_plan(1))
    for rows in (some_rows(2), some_rows(2), some_rows(3)):
        stand.server.predict("fraud", rows, NOON)
    assert len({event.id for event in stand.logged()}) == 2


def test_two_servers_split_and_log_alike() -> None:
    first, second = Stand(), Stand()
    for stand in (first, second):
        stand.hear(a_plan(1, 0.5, shadow="2"))
        stand.server.predict("fraud", some_rows(30), NOON)
    assert stripped(first.broker) == stripped(second.broker)


def stripped(broker: MemoryLog) -> list[tuple[object, ...]]:
    """Places, keys and ids of all records: what two servers must agree on."""
    found = [record for records in broker.records.values() for record in records]
    return [(record.place, record.key, dict(record.headers).get("ce_id")) for record in found]
