"""Decisions as lines: the same for the same decisions, and the first that differs is named."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import orjson

from everloop import events as e
from everloop.replay.decisions import Line, decisions, first_difference, written
from tests.builders import NOON, a_fresh_id
from tests.unit.demo.histories import a_pass, a_promotion, a_rollout, a_start, a_version, an_event, journals

KEYS = ["type", "time", "version", "rule", "measured", "limit"]


def again(events: Sequence[e.Event]) -> list[e.Event]:
    """The same decisions of another run: other ids, another name."""
    return [event.model_copy(update={"id": a_fresh_id(), "model": "fraud.r2"}) for event in events]


def a_look(measure: str, estimate: float) -> e.Look:
    return e.Look(
        measure=measure, estimate=estimate, lower=None, upper=None, limit=0.1, verdict="hold", rule="r", samples=1
    )


def a_window_looked(*looks: e.Look) -> e.WindowLooked:
    return an_event(
        e.WindowLooked, 15, version="2", phase=e.Phase.CANARY, kind="inputs", start=0, end=1, looks=looks,
        verdict="hold",
    )  # fmt: skip


def measured(lines: Sequence[Line], rule: str) -> list[object]:
    return [line["measured"] for line in lines if rule in str(line["rule"])]


def test_a_line_says_type_time_version_rule_measure_and_limit_and_nothing_else() -> None:
    lines = decisions(journals())
    assert all(list(line) == KEYS for line in lines)
    assert {type(event).TYPE for event in journals()} == {line["type"] for line in lines}
    assert {line["version"] for line in lines} >= {1, 2, 3}


def test_equal_decisions_are_equal_lines_whatever_the_ids_and_the_order_of_reading() -> None:
    events = [event.model_copy(update={"sequence": place}) for place, event in enumerate(journals())]
    assert written(decisions(events)) == written(decisions(list(reversed(again(events)))))


def test_no_id_no_digest_and_no_model_name_stands_in_the_lines() -> None:
    text = written(decisions(journals())).decode()
    assert not [event for event in journals() if str(event.id) in text]
    assert "fraud" not in text
    assert "0" * 64 not in text


def test_what_the_wall_clock_has_measured_is_left_out() -> None:
    slow = e.Check(name="latency_p95", verdict="pass", reason=e.Reason(rule="gate.latency_p95", measured=7.0))
    passed = a_pass("2").model_copy(update={"checks": (*a_pass("2").checks, slow)})
    looked = a_window_looked(a_look("errors", 0.5), a_look("latency_vs_champion", 7.0), a_look("mean_latency", 7.0))
    lines = decisions([passed, looked])
    assert measured(lines, "latency_") == []
    assert measured(lines, "errors") == [0.5]
    assert len(decisions([passed])) == len(a_pass("2").checks)


def test_notes_and_repeated_attempts_are_no_decisions() -> None:
    again_started = a_start("2", "usual", 900).model_copy(update={"attempt": 2})
    deferred = e.TurnDeferred(id=a_fresh_id(), time=NOON, model="fraud", cause="drift", reason=e.Reason(rule="x"))
    assert decisions([again_started, deferred]) == []


def test_digits_beyond_the_ninth_are_no_decision() -> None:
    one, other = (decisions([a_window_looked(a_look("errors", value))]) for value in (0.1 + 0.2, 0.3))
    assert one == other
    assert decisions([a_window_looked(a_look("errors", 0.300001))]) != one


def test_order_is_model_time_then_the_flow_then_the_journal() -> None:
    late, early = a_promotion(3), a_promotion(2)
    created, promoted = a_version("2", "usual"), a_promotion(14)
    times = [line["time"] for line in decisions([late, early])]
    assert times == sorted(map(str, times))
    assert [line["type"] for line in decisions([promoted, created])][-1] == e.VersionPromoted.TYPE
    steps = [event.model_copy(update={"sequence": n, "time": NOON}) for n, event in enumerate(a_rollout())]
    assert decisions(list(reversed(steps))) == decisions(steps)


def test_equal_files_have_no_difference() -> None:
    said = written(decisions(journals()))
    assert first_difference(said, said) is None


def test_a_changed_decision_is_named_with_both_its_faces() -> None:
    lines = decisions(journals())
    changed = [*lines[:3], {**lines[3], "measured": 0.25}, *lines[4:]]
    said = first_difference(written(lines), written(changed))
    assert said is not None
    assert said.startswith("decision 4 differs: ")
    assert orjson.dumps(lines[3]).decode() + " before" in said
    assert '"measured":0.25' in said


def test_a_decision_that_is_missing_or_new_is_named() -> None:
    said = written(decisions(journals()))
    count = len(said.splitlines())
    assert first_difference(said, b"") == f"decision 1 differs: {said.splitlines()[0].decode()} before, nothing now"
    more = first_difference(said, said + b"{}\n")
    assert more == f"decision {count + 1} differs: nothing before, {{}} now"


def test_another_time_is_another_decision() -> None:
    events = journals()
    moved = [*events[:-1], events[-1].model_copy(update={"time": events[-1].time + timedelta(hours=1)})]
    assert first_difference(written(decisions(events)), written(decisions(moved))) is not None
