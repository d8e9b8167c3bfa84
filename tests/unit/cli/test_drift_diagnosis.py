"""`everloop drift` says what kind of change it is: by the inputs, and by the labels that came for them."""

from __future__ import annotations

import orjson
import pytest

from everloop import events as e
from everloop import topics
from everloop.cli.drift_diagnosis import MOST, diagnosed, diagnosis_lines
from everloop.story.drifting import outcome_of
from tests.builders import a_loop
from tests.unit.cli.turns import Stack, a_stack, a_window, an_outcome

PRIOR = e.Diagnosis(
    kind="prior_shift",
    evidence=(
        e.Evidence(name="label_rate", test="log_odds", value=1.2, limit=0.4055),
        e.Evidence(name="score", test="log_odds", value=0.8, limit=0.4055),
    ),
)
SAID = (
    "prior_shift, another share of labels is positive, and the scores rank as well as before: "
    "label_rate log_odds 1.2 (limit 0.4055), score log_odds 0.8 (limit 0.4055)"
)


INPUTS = a_window(1, "stable", e.Episode.NONE, share=0.0)


def labelled(index: int, verdict: str = "stable", diagnosis: e.Diagnosis | None = PRIOR) -> e.WindowJudged:
    """A judged window of outcomes."""
    return an_outcome(index, 0.95).model_copy(update={"verdict": verdict, "diagnosis": diagnosis})


@pytest.fixture
def stack() -> Stack:
    """Two hours of labels: of the second too few have come."""
    stack = a_stack()
    stack.apply(a_loop())
    stack.say(topics.DRIFT, INPUTS, labelled(1), labelled(2, "labels_immature", None))
    return stack


def test_what_labels_show_stands_in_a_line_with_its_evidence(stack: Stack) -> None:
    (line,) = (one for one in stack.run("drift", "fraud").stdout.splitlines() if one.startswith("diagnosis"))
    assert line.startswith("diagnosis by labels of 2026-01-05 13:00:00 to 2026-01-05 14:00:00: ")
    assert line.endswith(SAID)


def test_and_in_the_data(stack: Stack) -> None:
    outcome = orjson.loads(stack.run("drift", "fraud", "--json").stdout)["outcome"]
    assert (outcome["start"], outcome["verdict"]) == ("2026-01-05 13:00:00", "stable")
    assert outcome["diagnosis"]["kind"] == "prior_shift"
    assert outcome["diagnosis"]["evidence"][0]["value"] == 1.2


def test_the_last_hour_of_labels_that_was_judged_counts_unless_one_is_asked_for() -> None:
    judged = [labelled(1), labelled(3), labelled(2), labelled(4, "labels_immature")]
    assert outcome_of(judged, None) == judged[1]
    assert outcome_of(judged, judged[2].start) == judged[2]
    assert outcome_of(judged, judged[3].start) is None
    assert outcome_of([], None) is None


def test_nothing_diagnosed_is_nothing_said() -> None:
    assert not list(diagnosis_lines(None, None))
    assert not list(diagnosis_lines(INPUTS, labelled(1, diagnosis=None)))


def test_of_much_evidence_the_strongest_is_said_and_how_much_more_there_is() -> None:
    many = tuple(e.Evidence(name=f"c{place}\x1b", test="psi", value=1.0, limit=0.2) for place in range(MOST + 2))
    said = diagnosed(e.Diagnosis(kind="covariate_shift", evidence=many))
    assert said.endswith(f"c{MOST - 1}\ufffd psi 1 (limit 0.2), and 2 more")


def test_a_change_of_names_has_no_limit_and_no_evidence_is_no_colon() -> None:
    new = e.Evidence(name="shop", test="unseen", value="S1")
    assert diagnosed(e.Diagnosis(kind="schema", evidence=(new,))).endswith(": shop unseen S1")
    assert diagnosed(e.Diagnosis(kind="schema")).endswith("are new")
