"""Versions that must not get on: one that the gate refuses, one that the canary finds out, one that never was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from everloop import topics
from everloop.events import (
    AlertRaised,
    Phase,
    RolloutAborted,
    SignedVerdict,
    StepTaken,
    TrainingFailed,
    TurnClosed,
    VersionPassed,
    VersionPromoted,
    VersionRefused,
)
from everloop_serving.handlers import Scoring
from tests.simulation.books import unbalanced
from tests.simulation.stack import Stack, scorer


def test_a_version_that_learned_the_opposite_is_refused_by_name_of_the_check() -> None:
    stack = Stack(change_at=None)
    stack.bootstrap()
    stack.play(2)

    stack.train(recipe="tests.simulation.recipes:Flipped")
    stack.play(3)

    refused = [e for e in stack.journal(topics.VERDICTS) if isinstance(e, VersionRefused)]
    assert [e.version for e in refused] == ["2"]
    assert "floor.roc_auc" in refused[0].failed
    failed = [check for check in refused[0].checks if check.verdict == "fail"]
    assert tuple(check.name for check in failed) == refused[0].failed
    floor = next(check.reason for check in failed if check.name == "floor.roc_auc")
    assert isinstance(floor.measured, float)
    assert floor.measured < 0.3
    assert floor.limit == 0.7
    closed = [e for e in stack.journal(topics.TRAINING) if isinstance(e, TurnClosed)]
    assert [(e.outcome, e.version) for e in closed] == [("promoted", "1"), ("refused", "2")]
    assert stack.weights() == [[1.0]], "traffic has never changed"
    assert [a.name for a in _alerts(stack)].count("version_refused") == 1


def test_a_recipe_that_raises_ends_as_a_failed_training() -> None:
    stack = Stack(change_at=None)
    stack.bootstrap()
    stack.train(recipe="tests.simulation.recipes:Broken")
    stack.play(3)

    failed = [e for e in stack.journal(topics.TRAINING) if isinstance(e, TrainingFailed)]
    assert len(failed) == 1
    assert "ZeroDivisionError" in failed[0].error
    assert stack.weights() == [[1.0]]


class Faulty:
    """A model that fails once it takes requests of its own; as a shadow it was fine."""

    def __init__(self, good: Scoring, live: list[bool]) -> None:
        self.good = good
        self.live = live

    def score(self, columns: Mapping[str, Sequence[object]]) -> NDArray[np.float64]:
        if self.live:
            raise MemoryError
        return self.good.score(columns)


class Patchy(Faulty):
    """A model that has no score for every third row once it takes requests of its own."""

    def score(self, columns: Mapping[str, Sequence[object]]) -> NDArray[np.float64]:
        scores = self.good.score(columns)
        places = np.arange(len(scores))
        return np.where(places % 3 == 0, np.nan, scores) if self.live else scores


@pytest.mark.parametrize("fault", [Faulty, Patchy])
def test_a_version_that_fails_in_the_canary_goes_and_the_champion_has_all(fault: type[Faulty]) -> None:
    live: list[bool] = []

    def fetch(verdict: SignedVerdict) -> Scoring:
        good = scorer(verdict.artifact.sha256, verdict.artifact.uri)
        return good if verdict.version == "1" else fault(good, live)

    stack = Stack(score=fetch)
    stack.bootstrap()
    while not live:
        stack.play(1)
        if any(isinstance(e, StepTaken) for e in stack.journal(topics.ROLLOUTS)):
            live.append(True)
    stack.play(5)

    aborted = [e for e in stack.journal(topics.ROLLOUTS) if isinstance(e, RolloutAborted)]
    assert aborted[0].version == "2"
    assert aborted[0].phase is Phase.CANARY
    assert "errors" in aborted[0].reason.rule
    assert any(isinstance(e, VersionPassed) and e.version == "2" for e in stack.journal(topics.VERDICTS))
    promoted = [e.version for e in stack.journal(topics.ROLLOUTS) if isinstance(e, VersionPromoted)]
    assert "2" not in promoted
    assert stack.weights()[:4] == [[1.0], [1.0], [0.5, 0.5], [1.0]]
    closed = [e for e in stack.journal(topics.TRAINING) if isinstance(e, TurnClosed)]
    assert [(e.outcome, e.version) for e in closed][1] == ("aborted", "2")
    assert not unbalanced(stack.simulation)


def _alerts(stack: Stack) -> list[AlertRaised]:
    return [e for e in stack.events(topics.ALERTS) if isinstance(e, AlertRaised)]
