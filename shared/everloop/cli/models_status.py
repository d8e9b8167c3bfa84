"""How each model stands: champion, phase, candidate, last window, episode, what is awaited. For `everloop status`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from everloop import events as e
from everloop.cli.context import UnreachableError, open_log
from everloop.cli.reading import applied_loops, read_all
from everloop.story import moment, number
from everloop.topics import DRIFT, ROLLOUTS, TRAINING, VERDICTS

if TYPE_CHECKING:
    from everloop.local.state import Stack
    from everloop.runtime.log import Log

STEADY = "steady"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model. `phase` is where its turn stands; `weight` is the candidate's share of traffic."""

    model: str
    champion: str | None = None
    phase: str = STEADY
    candidate: str | None = None
    weight: float | None = None
    window: str | None = None
    verdict: str | None = None
    episodes: tuple[str, ...] = ()
    awaits: str = ""


def collect(log: Log) -> list[ModelStatus]:
    """Fold the journals: one status per model whose loop file is applied, by name."""
    events = [one.event for one in read_all(log, [topic.name for topic in (DRIFT, TRAINING, VERDICTS, ROLLOUTS)])]
    return [status_of(model, events) for model in sorted(applied_loops(log))]


def models_status(stack: Stack) -> list[dict[str, object]]:
    """What `everloop status` prints of each model; nothing while the broker does not answer."""
    try:
        with open_log(stack.broker) as log:
            return [asdict(status) for status in collect(log)]
    except UnreachableError:
        return []


def status_of(model: str, events: Iterable[e.Event]) -> ModelStatus:
    """Fold the events of one model, in the order of the log."""
    status = ModelStatus(model, awaits="a first version: everloop bootstrap")
    for event in events:
        if event.model == model:
            status = fold(status, event)
    return status


def fold(status: ModelStatus, event: e.Event) -> ModelStatus:
    """One event further; an event that says nothing about the standing leaves it as it is."""
    if isinstance(event, e.WindowJudged):
        return _judged(status, event)
    for step in (_training, _gate, _rollout):
        if (changed := step(status, event)) is not None:
            return changed
    return status


def _judged(status: ModelStatus, event: e.WindowJudged) -> ModelStatus:
    kind = event.episode_kind or ""
    others = tuple(one for one in status.episodes if one != kind)
    is_open = event.episode in {e.Episode.OPENED, e.Episode.CONTINUING}
    episodes = (*others, kind) if is_open else others if kind else status.episodes
    if event.kind == "outcomes":
        return replace(status, episodes=episodes)
    return replace(status, episodes=episodes, window=moment(event.start), verdict=event.verdict)


def _training(status: ModelStatus, event: e.Event) -> ModelStatus | None:
    match event:
        case e.TurnOpened():
            return replace(status, phase="waiting_for_data", awaits=f"fresh labels until {event.wait_until:%F %T}")
        case e.TurnDeferred():
            return replace(status, awaits=_wanted(event.reason))
        case e.TrainingStarted():
            awaits = f"the training job, attempt {event.attempt}"
            return replace(status, phase="training", candidate=event.spec.version, awaits=awaits)
        case e.ModelVersionCreated():
            return replace(status, phase="checking", candidate=event.version, awaits="the gate")
        case e.TrainingFailed() | e.TrainingSkipped() | e.TurnClosed():
            return _rest(status)
    return None


def _gate(status: ModelStatus, event: e.Event) -> ModelStatus | None:
    match event:
        case e.ChecksStarted():
            return replace(status, phase="checking", candidate=event.spec.version, awaits="the checks")
        case e.VersionPassed():
            return replace(status, phase="passed", candidate=event.version, awaits="the rollout")
        case e.VersionHeld():
            few = next((one.reason for one in event.checks if one.verdict == "too_few"), None)
            awaits = f"{_wanted(few) if few else 'more rows'}, until {event.until:%F %T}"
            return replace(status, phase="held", candidate=event.version, awaits=awaits)
        case e.VersionRefused():
            return _rest(status)
    return None


def _rollout(status: ModelStatus, event: e.Event) -> ModelStatus | None:
    match event:
        case e.RolloutStarted():
            until = f"looks until {event.deadline:%F %T}"
            return replace(status, phase="shadow", candidate=event.version, weight=0.0, awaits=until)
        case e.StepTaken():
            return replace(status, phase=event.phase.value, candidate=event.version, weight=event.weight)
        case e.WindowLooked():
            held = next((one for one in event.looks if one.verdict == "hold"), None)
            awaits = f"{held.measure} {held.rule}, {held.samples} samples so far" if held else "the next step"
            return replace(status, awaits=awaits)
        case e.VersionPromoted() | e.VersionRolledBack() | e.RolloutAborted():
            champion = event.version if isinstance(event, e.VersionPromoted) else event.champion
            return replace(_rest(status), champion=champion)
    return None


def _rest(status: ModelStatus) -> ModelStatus:
    return replace(status, phase=STEADY, candidate=None, weight=None, awaits="the next window")


def _wanted(reason: e.Reason) -> str:
    """`train.fresh_labels: 412 of 1000`."""
    limit = "" if reason.limit is None else f" of {number(reason.limit)}"
    return f"{reason.rule}: {number(reason.measured)}{limit}"
