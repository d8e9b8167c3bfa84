"""What a replay makes of what it saw: quality of what was served, and counts of turns."""

from __future__ import annotations

from everloop import events as e
from everloop.replay.rows import Labels
from everloop.replay.served import Served
from everloop.replay.summary import Turns, count_turns
from everloop.replay.watching import Said
from tests.builders import NOON, a_fresh_id, a_signed_verdict
from tests.unit.demo.histories import a_promotion, a_start, journals

SCORES: dict[str, float | None] = {"a": 0.9, "b": 0.2, "c": 0.8, "d": None}
TRUTH = {"a": 1.0, "b": 0.0, "c": 0.0, "d": 1.0}


def said(scores: dict[str, float | None], version: str | None = "1", model: str = "fraud") -> Said:
    return Said(model, version, "champion", tuple(scores), tuple(scores.values()))


def a_served(*records: Said, binary: bool = True) -> Served:
    served = Served("fraud", binary)
    for record in records:
        served.see(record)
    return served


def test_a_row_counts_once_and_history_errors_and_other_models_do_not() -> None:
    later: dict[str, float | None] = {"a": 0.0, "e": 0.3}
    served = a_served(said(SCORES), said({"x": 0.1}, version=None), said({"y": 0.1}, model="churn"), said(later, "2"))
    assert served.scores == {"a": 0.9, "b": 0.2, "c": 0.8, "e": 0.3}


def test_quality_is_of_what_was_served() -> None:
    assert a_served(said(SCORES)).prequential(TRUTH) == 1.0
    assert a_served(said({**SCORES, "c": 0.95})).prequential(TRUTH) == 0.5
    assert a_served(said({"a": 0.9})).prequential(TRUTH) is None
    assert a_served(said(SCORES), binary=False).prequential(TRUTH) is None


def test_recent_quality_is_of_labelled_rows() -> None:
    served = a_served(said(SCORES))
    assert served.recent is None
    served.learn(Labels(("a", "c", "unknown"), (1.0, 0.0, 1.0), (0, 0, 0)))
    assert served.recent == 1.0


def test_the_champion_is_the_promoted_one_and_after_a_rollback_the_one_before() -> None:
    served = a_served()
    served.hear(a_promotion(0, "1", None))
    served.hear(a_promotion(1, "2"))
    served.hear(a_promotion(2, "9").model_copy(update={"model": "churn"}))
    assert served.champion == "2"
    back = {"version": "2", "champion": "1", "verdict": a_signed_verdict("1"), "salt": "", "reason": e.Reason(rule="x")}
    served.hear(e.VersionRolledBack.model_validate({"id": a_fresh_id(), "time": NOON, "model": "fraud", **back}))
    assert served.champion == "1"
    first = served.first_version()
    assert first is not None
    assert first.version == "1"


def test_turns_are_counted_without_the_first_version_and_without_repeated_attempts() -> None:
    first = a_start("1", "usual", 1)
    again = a_start("2", "usual", 900).model_copy(update={"attempt": 2})
    assert count_turns([first, again, *journals()]) == Turns(trainings=2, promotions=1, refusals=1, aborted=0)
