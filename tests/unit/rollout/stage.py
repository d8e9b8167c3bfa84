"""A rollout played without a log: a journal, a clock of ten-minute windows, and traffic as the plan says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from everloop.codec import decode, encode
from everloop.events import ArmWindow, Event, TrafficPlanned, WindowLooked
from everloop.loop import Loop
from everloop_rollout.domain.deciding import decide
from everloop_rollout.domain.phases import State, evolve, initial
from everloop_rollout.domain.planning import plan
from tests.builders import NOON, a_loop, a_tick_at, a_version_passed, a_window_of_arms, an_arm_window

WINDOW = timedelta(minutes=10)
ROWS = 5120
RULES: dict[str, object] = {"shadow": "10m", "steps": ["10%", "50%", "100%"], "hold": "10m", "min_rows": 1000}


def a_rollout_loop(**rollout: object) -> Loop:
    """Ten-minute windows, labels ten minutes later, shadow and two canary steps."""
    windows = {"every": "10m", "grace": "0s", "min_rows": 100}
    return a_loop(windows=windows, labels={"horizon": "10m"}, rollout={**RULES, **rollout})


@dataclass(frozen=True)
class Candidate:
    """What is special about the rows that the candidate serves."""

    errors: float = 0.0
    score: float = 0.2
    loss: float = 0.1


GOOD = Candidate()


@dataclass
class Stage:
    """One model. Every event goes through its bytes before it is folded: the journal is all that the state has."""

    loop: Loop = field(default_factory=a_rollout_loop)
    now: datetime = NOON
    state: State = field(default_factory=initial)
    said: list[Event] = field(default_factory=list)

    def hear(self, cause: Event) -> Event | None:
        """Decide one input and fold what was said."""
        now = max([cause.time, *(event.time for event in self.said[-1:])])
        event = decide(self.state, cause, now, self.loop, None)
        if event is None:
            return None
        numbered = event.model_copy(update={"sequence": len(self.said) + 1})
        event = decode(*encode(numbered, source="test", recorded=self.now))
        self.said.append(event)
        self.state = evolve(self.state, event)
        return event

    def arms(self, candidate: Candidate = GOOD) -> list[ArmWindow]:
        """What the present plan makes of ten minutes of traffic."""
        seed = len(self.said)
        made = []
        for arm in self.plan.arms:
            own = candidate if arm.arm == "candidate" else GOOD
            rows = round(ROWS * arm.weight)
            made.append(an_arm_window(arm.arm, arm.version, rows, errors=own.errors, score=own.score, seed=seed))
        return [*made, *self._shadow(None)]

    def labelled(self, candidate: Candidate = GOOD) -> list[ArmWindow]:
        """The same with labels, all of them known."""
        seed = len(self.said)
        made = []
        for arm in self.plan.arms:
            loss = candidate.loss if arm.arm == "candidate" else GOOD.loss
            made.append(an_arm_window(arm.arm, arm.version, round(ROWS * arm.weight), loss=loss, seed=seed))
        return [*made, *self._shadow(GOOD.loss)]

    def _shadow(self, loss: float | None) -> list[ArmWindow]:
        planned = self.plan
        if planned.shadow is None:
            return []
        rows = round(ROWS * planned.arms[0].weight)
        return [an_arm_window("shadow", planned.shadow.version, rows, loss=loss, seed=len(self.said))]

    def window(self, candidate: Candidate = GOOD, *, labels: bool = True, silent: bool = False) -> list[Event]:
        """Ten minutes of traffic under the present plan: the window closes, its labels come at once, a tick follows."""
        start, self.now = self.now, self.now + WINDOW
        heard: list[Event] = []
        if not silent:
            heard.append(a_window_of_arms(*self.arms(candidate), start=start, end=self.now))
        if labels and not silent:
            heard.append(a_window_of_arms(*self.labelled(candidate), start=start, end=self.now, kind="outcomes"))
        heard.append(a_tick_at(self.now))
        return [said for cause in heard if (said := self.hear(cause))]

    def windows(
        self, count: int, candidate: Candidate = GOOD, *, labels: bool = True, silent: bool = False
    ) -> list[Event]:
        """Decisions of so many windows, without the looks."""
        said = [one for _ in range(count) for one in self.window(candidate, labels=labels, silent=silent)]
        return [one for one in said if not isinstance(one, WindowLooked)]

    @property
    def plan(self) -> TrafficPlanned:
        """The present split."""
        planned = plan(self.state)
        assert planned is not None
        return planned

    @property
    def weights(self) -> dict[str, float]:
        """Weight by version."""
        return {arm.version: arm.weight for arm in self.plan.arms}


def a_stage(**rollout: object) -> Stage:
    """Version 1 serves, version 2 has just passed the gate and is in shadow."""
    stage = Stage(loop=a_rollout_loop(**rollout))
    stage.hear(a_version_passed("1", None))
    stage.hear(a_version_passed("2", "1"))
    return stage
