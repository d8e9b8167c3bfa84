"""What the trainer hears, says and starts: literal tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from everloop import topics
from everloop.events import (
    AlertRaised,
    Event,
    ModelVersionCreated,
    Reason,
    Severity,
    TrainingFailed,
    TrainingSkipped,
    TrainingStarted,
)
from everloop.runtime.room import Decider, Effect, Projection
from everloop_trainer import domain

HEARS = (topics.DRIFT, topics.VERDICTS, topics.ROLLOUTS, topics.COMMANDS)
FACTS = (topics.ARCHIVE, topics.ROLLOUTS)
JOURNAL = topics.TRAINING
JOBS: Mapping[type[Event], str] = {TrainingStarted: "everloop_trainer.adapters.job"}
"""The module that a child process runs for the event that starts long work."""


def announce(state: domain.State, event: Event) -> Sequence[AlertRaised]:
    """Say in one sentence what a person should know of: a version, a failure, a skipped turn."""
    del state
    match event:
        case ModelVersionCreated():
            figures = ", ".join(f"{name} {value:.4f}" for name, value in sorted(event.metrics.items()))
            text = f"version {event.version} was trained on {event.train_rows} rows ({figures})"
            return (_alert(event, "version_created", "info", text),)
        case TrainingFailed():
            return (_alert(event, "training_failed", "error", f"training failed: {event.error}"),)
        case TrainingSkipped():
            return (_alert(event, "training_skipped", "warning", f"training was skipped: {_skipped(event.reason)}"),)
    return ()


def _skipped(why: Reason) -> str:
    if why.rule == "veto.data_fault":
        return f"the data is broken ({why.measured})"
    return f"{_whole(why.measured)} fresh labels, {_whole(why.limit)} needed ({why.rule})"


def _whole(figure: float | str | None) -> str:
    """A count in a reason is a float."""
    return f"{figure:.0f}" if isinstance(figure, float) else str(figure)


def _alert(event: Event, name: str, severity: Severity, text: str) -> AlertRaised:
    return AlertRaised.about(event, "trainer", name=name, severity=severity, summary=f"{event.model}: {text}")


PROJECTIONS: Mapping[type[Event], Projection[domain.State]] = {
    ModelVersionCreated: announce,
    TrainingFailed: announce,
    TrainingSkipped: announce,
}


def decider(effects: Mapping[type[Event], Effect] | None = None) -> Decider[domain.State]:
    """The trainer as the runtime sees it. `effects`: what `app` wires, such as `{ModelVersionCreated: registry}`."""
    return Decider(
        name="trainer",
        journal=JOURNAL,
        hears=HEARS,
        facts_from=FACTS,
        initial=domain.initial,
        decide=domain.decide,
        evolve=domain.evolve,
        job=domain.job,
        projections=PROJECTIONS,
        effects=effects or {},
    )
