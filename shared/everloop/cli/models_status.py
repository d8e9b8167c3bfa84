"""How each model stands: champion, phase, last window, label delay, lag, what is awaited and when it can end.

For `everloop status`. All times are the model's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from everloop import events as e
from everloop.cli.context import UnreachableError, open_log, utc_now
from everloop.cli.reading import Reader, applied_loops, model_now, read_all
from everloop.facts import Facts
from everloop.facts import fold as fold_facts
from everloop.loop import Loop
from everloop.story import moment, number
from everloop.story import standing as s
from everloop.topics import ARCHIVE, DRIFT, OUTCOMES, ROLLOUTS, TRAINING, VERDICTS

if TYPE_CHECKING:
    from everloop.local.state import Stack
    from everloop.runtime.log import Log

E = TypeVar("E", bound=e.Event)
STEADY, WATCH = "steady", "watch"
RECENT = 500
"""Records per partition of `outcomes`, the newest, from which the delay of labels is taken."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model. `phase` is where its turn stands; `weight` is the candidate's share of traffic.

    `labels` is what the last window of outcomes says of them: mature, immature with its coverage, or stopped.

    `since`, `earliest_end`, `promotion` (at the earliest) and `deadline` are times of the model's clock; `have` of
    `need` is how far it has come. Label delays are seconds from a row's time to when its label was known. `lag` is of
    the whole stack: records that its groups have not committed.
    """

    model: str
    champion: str | None = None
    phase: str = STEADY
    candidate: str | None = None
    weight: float | None = None
    window: str | None = None
    verdict: str | None = None
    diagnosis: str | None = None
    episodes: tuple[str, ...] = ()
    awaits: str = ""
    since: str | None = None
    earliest_end: str | None = None
    promotion: str | None = None
    deadline: str | None = None
    have: int | None = None
    need: int | None = None
    label_delay_p50_s: float | None = None
    label_delay_p95_s: float | None = None
    labels: str | None = None
    lag: int | None = None


def collect(log: Log, wall: datetime, lag: int | None = None) -> list[ModelStatus]:
    """Fold the journals: one status per model whose loop file is applied, by name."""
    heard = read_all(log, [topic.name for topic in (ARCHIVE, DRIFT, TRAINING, VERDICTS, ROLLOUTS)])
    events = [one.event for one in heard]
    delays, found = label_delays(log), []
    for model, applied in sorted(applied_loops(log).items()):
        mine = [event for event in events if event.model == model]
        loop, now = Loop.from_payload(applied.loop), model_now(log, model, wall)
        status = with_bounds(status_of(model, mine), mine, loop, now)
        p50, p95 = (s.quantile(delays.get(model, ()), share) for share in (0.5, 0.95))
        found.append(replace(status, label_delay_p50_s=p50, label_delay_p95_s=p95, lag=lag))
    return found


def models_status(stack: Stack) -> list[dict[str, object]]:
    """What `everloop status` prints of each model; nothing while the broker does not answer."""
    try:
        with open_log(stack.broker) as log:
            lag = stack_lag(log, stack.broker, [process.name for process in stack.processes])
            return [asdict(status) for status in collect(log, utc_now(), lag)]
    except UnreachableError:
        return []


def stack_lag(log: Log, broker: str, processes: Sequence[str]) -> int:
    """Records that the groups of these processes have not committed, in all: committed offsets first, then ends."""
    from everloop.groups import expected
    from everloop.replay.offsets import KafkaOffsets
    from everloop.runtime.log import places_of

    wanted = {group: places_of(log, names) for group, names in expected(processes).items()}
    offsets = KafkaOffsets(broker)
    try:
        committed = offsets.committed(wanted)
    finally:
        offsets.close()
    ends = log.ends({place for places in wanted.values() for place in places})
    return sum(
        max(0, ends[place] - committed.get(group, {}).get(place, 0))
        for group, places in wanted.items()
        for place in places
    )


def label_delays(log: Log) -> Mapping[str, list[float]]:
    """Seconds from a row's time to its label, by model, of the newest outcomes; rows of a bootstrap are left out."""
    found: dict[str, list[float]] = {}
    reader = Reader(log, [OUTCOMES.name], last=RECENT)
    for chunk in reader.news():
        for event in (one.event for one in chunk):
            if isinstance(event, e.OutcomesJoined) and event.source != "bootstrap":
                pairs = zip(event.labelled_at, event.times, strict=True)
                found.setdefault(event.model, []).extend((known - time) / 1000 for known, time in pairs)
    reader.close()
    return found


def with_bounds(status: ModelStatus, events: Sequence[e.Event], loop: Loop, now: datetime) -> ModelStatus:
    """Add what is awaited since when, and the earliest end; a fresh champion is in `watch` before it is steady."""
    promoted = _last(events, e.VersionPromoted)
    watch = s.watched(promoted, loop) if promoted and promoted.version == status.champion else None
    if status.phase == STEADY and watch and watch.earliest and now < watch.earliest:
        status = replace(status, phase=WATCH, awaits="the end of the watch")
    one = _awaited(status, events, loop, now, watch)
    words = s.in_words("it" if status.phase in {STEADY, WATCH} else f"the {status.phase}", one)
    return replace(
        status,
        awaits="; ".join(part for part in (status.awaits, words) if part),
        since=_text(one.since), earliest_end=_text(one.earliest), promotion=_text(one.promotion),
        deadline=_text(one.latest), have=one.have, need=one.need,
    )  # fmt: skip


def _awaited(
    status: ModelStatus, events: Sequence[e.Event], loop: Loop, now: datetime, watch: s.Awaited | None
) -> s.Awaited:
    """The bounds of the present phase."""
    opened, started = _last(events, e.TurnOpened), _last(events, e.TrainingStarted)
    begun, kept = _last(events, e.RolloutStarted), _last(events, e.VersionHeld)
    match status.phase:
        case "waiting_for_data" if opened:
            return s.waiting(opened, loop, _labels(events, opened, started))
        case "held" if kept:
            return s.held(kept)
        case "shadow" | "canary" if begun:
            later = events[events.index(begun) :]
            looks = [one for one in later if isinstance(one, e.WindowLooked) and one.version == begun.version]
            return s.rolling(begun, _last(later, e.StepTaken), looks, loop)
        case "watch" if watch:
            return watch
        case "steady" if status.champion:
            return _resting(events, loop, now)
    began = _last(events, e.TrainingStarted, e.ModelVersionCreated, e.ChecksStarted, e.VersionPassed)
    return s.Awaited(began.time) if began and status.phase != STEADY else s.Awaited()


def _resting(events: Sequence[e.Event], loop: Loop, now: datetime) -> s.Awaited:
    """A cause that was put off has its own reason; else the next window is awaited."""
    said = _last(events, e.TurnOpened, e.TurnDeferred, e.TrainingFailed, e.TrainingSkipped, e.TurnClosed)
    if isinstance(said, e.TurnDeferred):
        return s.deferred(said)
    ends = [one.end for one in events if isinstance(one, e.WindowJudged) and one.kind == "inputs"]
    return s.next_window(max(ends, default=None), loop, now)


def _labels(events: Sequence[e.Event], opened: e.TurnOpened, started: e.TrainingStarted | None) -> int:
    """Labelled rows in the archive since the change, else since the last run's cut."""
    facts = Facts()
    for event in events:
        if isinstance(event, e.ManifestCommitted | e.FilesMerged | e.FilesExpired):
            facts = fold_facts(facts, event)
    cut = started.spec.snapshot.end if started else 0
    return facts.rows_since("outcomes", cut if opened.change_at is None else opened.change_at)


def _last(events: Sequence[e.Event], *kinds: type[E]) -> E | None:
    return next((one for one in reversed(events) if isinstance(one, kinds)), None)


def _text(at: datetime | None) -> str | None:
    return f"{at:%F %T}" if at else None


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
    if event.kind == "outcomes" and not event.revision:
        return replace(status, episodes=episodes, labels=labels_in_words(event))
    if event.revision:
        return replace(status, episodes=episodes)
    diagnosis = event.diagnosis.kind if event.diagnosis else None
    return replace(
        status, episodes=episodes, window=moment(event.start), verdict=event.verdict, diagnosis=diagnosis
    )  # fmt: skip


def labels_in_words(event: e.WindowJudged) -> str | None:
    """Whether labels come and suffice; None while too little is known."""
    flow = event.labels
    if flow is None or flow.needed is None:
        return None
    if flow.stopped in {e.Episode.OPENED, e.Episode.CONTINUING} and flow.since is not None:
        return f"stopped since {moment(flow.since)}"
    if event.verdict == "labels_immature":
        return f"immature, {event.coverage or 0.0:.0%} of the rows have one, {flow.needed:.0%} are needed"
    return f"mature, {event.coverage or 0.0:.0%} of the rows have one"


def _training(status: ModelStatus, event: e.Event) -> ModelStatus | None:
    match event:
        case e.TurnOpened():
            return replace(status, phase="waiting_for_data", awaits="fresh labels")
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
            return replace(status, phase="held", candidate=event.version, awaits="more rows")
        case e.VersionRefused():
            return _rest(status)
    return None


def _rollout(status: ModelStatus, event: e.Event) -> ModelStatus | None:
    match event:
        case e.RolloutStarted():
            return replace(status, phase="shadow", candidate=event.version, weight=0.0, awaits="the first look")
        case e.StepTaken():
            return replace(status, phase=event.phase.value, candidate=event.version, weight=event.weight)
        case e.WindowLooked() if event.phase is not e.Phase.WATCH:
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
