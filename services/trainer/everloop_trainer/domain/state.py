"""What is known of one model: its turn, the causes that wait, the budget, the champion. A fold of the own journal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from everloop.events import (
    EpisodeNoted,
    Event,
    ModelVersionCreated,
    TrainingFailed,
    TrainingSkipped,
    TrainingStarted,
    TurnClosed,
    TurnDeferred,
    TurnOpened,
    VetoNoted,
)

DAY: Final = timedelta(days=1)
UNPAID: Final = frozenset({"command", "bootstrap"})
"""A person's causes: they wait for a live turn, not for cool-down or budget, and use up neither."""
JOB_FAILED: Final = "job_failed"
REMEMBERED_CHAMPIONS: Final = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """A cause for training. `correlation` is the thread of its turn through all events; None: not named yet.

    `rows`: how many labelled rows a person asks to wait for. `tried`: a turn was opened for it before.
    """

    cause: str
    correlation: UUID | None = None
    episode: UUID | None = None
    change_at: int | None = None
    recipe: str | None = None
    rows: int | None = None
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """The one live turn: it waits for data, then its job runs, then gate and rollout have its version."""

    wanted: Wanted
    wait_until: datetime
    started: TrainingStarted | None = None
    failures: int = 0
    version: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one model.

    `episodes` are open episodes of drift, each a standing cause; `asked` are a person's requests that wait. `runs` are
    the starts of the last day that count against the budget, `rested_from` is what the cool-down counts from.
    `last_cut` (ms) is the end of the newest snapshot that was trained on, `last_change` the change that it began at.
    `said` is the last "not now", so that it is said once. `vetoes` are open faults of the data: while there are any, no
    cause of the loop opens a turn or starts a run.
    """

    turn: Turn | None = None
    episodes: tuple[Wanted, ...] = ()
    asked: tuple[Wanted, ...] = ()
    versions: int = 0
    runs: tuple[datetime, ...] = ()
    rested_from: datetime | None = None
    last_opened: datetime | None = None
    last_cut: int | None = None
    last_change: int | None = None
    champions: tuple[str, ...] = ()
    said: tuple[UUID | None, str] | None = None
    vetoes: tuple[str, ...] = ()


def initial() -> State:
    """Before the first event of the model's journal."""
    return State()


def evolve(state: State, event: Event) -> State:
    """Fold one event of the journal into the state; any other event leaves it as it is."""
    match event:
        case TurnOpened():
            state = _opened(state, event)
        case TurnDeferred():
            state = _deferred(state, event)
        case EpisodeNoted():
            state = _without(state, event.episode_id)
        case VetoNoted():
            state = replace(_without(state, event.ended), vetoes=event.kinds)
        case TrainingStarted():
            state = _started(state, event)
        case ModelVersionCreated() if state.turn:
            state = replace(state, turn=replace(state.turn, version=event.version))
        case TrainingSkipped():
            state = replace(state, turn=None, rested_from=state.rested_from if _unpaid(state) else event.time)
        case TrainingFailed():
            state = replace(state, turn=None)
        case TurnClosed():
            state = _closed(state, event)
    return state


def running(state: State) -> TrainingStarted | None:
    """The newest attempt of a job that has no end."""
    return state.turn.started if state.turn and state.turn.version is None else None


def _unpaid(state: State) -> bool:
    return state.turn is not None and state.turn.wanted.cause in UNPAID


def _opened(state: State, event: TurnOpened) -> State:
    """The thread of a turn is its correlation id: what waited under it does not wait any more."""
    thread = event.correlation_id or event.id
    wanted = Wanted(event.cause, thread, event.episode_id, event.change_at, event.recipe, event.rows, tried=True)
    return replace(
        _with_episode(state, wanted),
        turn=Turn(wanted, event.wait_until),
        asked=tuple(one for one in state.asked if one.correlation != thread),
        last_opened=event.time,
        said=None,
    )


def _deferred(state: State, event: TurnDeferred) -> State:
    thread = event.correlation_id or event.id
    wanted = Wanted(event.cause, thread, event.episode_id, event.change_at, event.recipe, event.rows)
    state = replace(_with_episode(state, wanted), said=(thread, event.reason.rule))
    new = wanted.cause in UNPAID and all(one.correlation != thread for one in state.asked)
    return replace(state, asked=(*state.asked, wanted)) if new else state


def _with_episode(state: State, wanted: Wanted) -> State:
    """An episode is known once; a turn for it marks it as tried."""
    if wanted.episode is None:
        return state
    known = [one for one in state.episodes if one.episode == wanted.episode]
    kept = replace(known[0], tried=known[0].tried or wanted.tried) if known else wanted
    others = tuple(one for one in state.episodes if one.episode != wanted.episode)
    return replace(state, episodes=(*others, kept))


def _without(state: State, episode: UUID | None) -> State:
    return replace(state, episodes=tuple(one for one in state.episodes if one.episode != episode))


def _started(state: State, event: TrainingStarted) -> State:
    if state.turn is None:
        return state
    failed = event.reason.rule == JOB_FAILED
    turn = replace(state.turn, started=event, failures=state.turn.failures + failed)
    state = replace(state, turn=turn)
    if event.attempt > 1:
        return state
    cut = event.spec.snapshot
    change = cut.start if cut.strategy == "since" else state.last_change
    state = replace(state, versions=state.versions + 1, last_cut=cut.end, last_change=change)
    if _unpaid(state):
        return state
    today = tuple(run for run in state.runs if run > event.time - DAY)
    return replace(state, runs=(*today, event.time), rested_from=event.time)


def _closed(state: State, event: TurnClosed) -> State:
    """A promotion ends all known episodes: they are about the version that it replaced, drift closes them as well."""
    mine = state.turn is not None and state.turn.version == event.version
    state = replace(state, turn=None) if mine else state
    if event.outcome == "promoted":
        champions = (event.version, *state.champions)[:REMEMBERED_CHAMPIONS]
        return replace(state, champions=champions, episodes=())
    if state.champions[:1] == (event.version,):
        return replace(state, champions=state.champions[1:])
    return state
