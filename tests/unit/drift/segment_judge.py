"""A judge of windows with segments, as the runtime hands them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from everloop import events as e
from everloop.loop import Loop
from everloop_drift.domain import judging
from everloop_drift.handlers import announce
from tests.builders import NOON
from tests.unit.drift.builders import a_window


@dataclass
class Judge:
    """Hears windows of one kind, and notes the alerts."""

    loop: Loop
    kind: Literal["inputs", "outcomes"] = "inputs"
    state: judging.State = field(default_factory=judging.initial)
    alerts: list[e.AlertRaised] = field(default_factory=list)

    def hear(self, *arms: e.ArmWindow, first: int = 0, revision: int = 0) -> list[e.WindowJudged]:
        """One window each."""
        said = []
        for number, one in enumerate(arms, start=first):
            window = a_window(number, one, kind=self.kind, revision=revision)
            found = judging.decide(self.state, window, NOON, self.loop, None)
            assert isinstance(found, e.WindowJudged)
            said.append(e.WindowJudged.model_validate_json(found.model_dump_json()))
            self.state = judging.evolve(self.state, said[-1])
            self.alerts += announce(self.state, said[-1])
        return said


def stages(said: Sequence[e.WindowJudged], value: str | None = "s07") -> list[tuple[str, e.Episode]]:
    """Verdict and stage of one segment, window by window."""
    return [(one.verdict, one.episode) for window in said for one in window.segments if one.value == value]
