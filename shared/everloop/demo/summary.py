"""What happened, told by the topics alone, and whether it is what has to happen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, TypeVar

from everloop import events as e
from everloop.demo.reading import History
from everloop.demo.served import Row, between, join, quality
from everloop.demo.timetable import AFTER, BEFORE, Timetable

FALL: Final = 0.05
"""Quality has to fall at least so far below what it was, or there was nothing to mend."""
SHORT: Final = 0.03
"""After the promotion quality may miss what it was by so much."""
E_ = TypeVar("E_", bound=e.Event)


@dataclass(frozen=True, slots=True)
class Drift:
    """The first episode after the change: its kind and the rule that opened it, with value and limit."""

    window: int
    kind: str
    rule: str
    measured: float | str | None
    limit: float | str | None
    rows: int


@dataclass(frozen=True, slots=True)
class Promoted:
    """A successor became the champion; `served_from` is the first window that it served alone.

    `fresh_labels` are the labels since the change that its training waited for; `shadow` and `weights` say how it came.
    """

    version: str
    previous: str
    served_from: int
    fresh_labels: int
    checks_passed: int
    shadow: bool
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A candidate was refused; `failed` are the names of the checks that it failed."""

    version: str
    recipe: str
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """The keys of `summary.json`."""

    seconds: float
    false_alarms: int
    drift: Drift | None
    promoted: Promoted | None
    refused: Refused | None
    quality_before: float | None
    quality_drifted: float | None
    quality_after: float | None
    books_balanced: bool

    def to_plain(self) -> dict[str, object]:
        """As JSON types."""
        return asdict(self)


def summarise(history: History, table: Timetable, bad_recipe: str, *, seconds: float, balanced: bool) -> Summary:
    """Tell the run. `bad_recipe` is the recipe of the candidate that has to be refused."""
    journals, rows = history.journals, join(history.predictions, history.labels)
    promoted = find_promoted(journals, table)
    return Summary(
        seconds=round(seconds, 1),
        false_alarms=count_false_alarms(journals, table, promoted),
        drift=find_drift(journals, table, promoted),
        promoted=promoted,
        refused=find_refused(journals, bad_recipe),
        quality_before=_quality(rows, table, table.stationary - BEFORE, table.stationary),
        quality_drifted=_quality(rows, table, table.concept_at, promoted.served_from if promoted else table.windows),
        quality_after=_after(rows, table, promoted),
        books_balanced=balanced,
    )


def failures(summary: Summary) -> list[str]:
    """Name each condition that was not met; empty when the demo has shown what it is for."""
    checks = (*_loop_checks(summary), *_quality_checks(summary))
    return [sentence for met, sentence in checks if not met]


def _loop_checks(told: Summary) -> Iterator[tuple[bool, str]]:
    drift, promoted, refused = told.drift, told.promoted, told.refused
    yield told.false_alarms == 0, f"false_alarms: {told.false_alarms} episodes opened where nothing had changed"
    yield drift is not None, "drift: no episode opened after the change"
    yield drift is None or bool(drift.rule), "drift: the episode names no cause"
    yield promoted is not None, "promoted: no successor was promoted"
    if promoted is not None:
        yield promoted.fresh_labels > 0, "promoted: the successor was not trained on fresh labels"
        yield promoted.checks_passed > 0, "promoted: the successor passed no check of the gate"
        yield promoted.shadow, "promoted: the successor was not shadowed first"
        yield any(0 < weight < 1 for weight in promoted.weights), "promoted: the successor was not canaried"
    yield refused is not None, "refused: the candidate that was trained on flipped labels was not refused"
    yield refused is None or bool(refused.failed), "refused: the verdict names no failing check"
    yield told.books_balanced, "books_balanced: the recount of the topics differs from the books of drift"


def _quality_checks(told: Summary) -> Iterator[tuple[bool, str]]:
    before, drifted, after = told.quality_before, told.quality_drifted, told.quality_after
    yield before is not None, "quality_before: there are no labelled rows before the change"
    yield drifted is not None, "quality_drifted: there are no labelled rows after the change"
    yield after is not None, f"quality_after: there are not {AFTER} labelled windows after the promotion"
    if before is not None and drifted is not None:
        fell = drifted <= before - FALL
        yield fell, f"quality_drifted: {drifted:.3f} is not {FALL} below quality_before {before:.3f}"
    if before is not None and after is not None:
        back = after >= before - SHORT
        yield back, f"quality_after: {after:.3f} is more than {SHORT} below quality_before {before:.3f}"


def find_promoted(journals: Iterable[e.Event], table: Timetable) -> Promoted | None:
    """The first version that replaced another, with what came before its promotion."""
    events = list(journals)
    for event in _of(events, e.VersionPromoted):
        if event.previous is not None:
            return _promotion(event, event.previous, events, table)
    return None


def _promotion(event: e.VersionPromoted, previous: str, events: list[e.Event], table: Timetable) -> Promoted:
    version = event.version
    started = [one for one in _of(events, e.TrainingStarted) if one.spec.version == version]
    passed = [one for one in _of(events, e.VersionPassed) if one.version == version]
    return Promoted(
        version=version,
        previous=previous,
        served_from=table.window(millis(event.time)),
        fresh_labels=started[0].fresh_labels if started else 0,
        checks_passed=sum(check.verdict == "pass" for check in passed[-1].checks) if passed else 0,
        shadow=any(one.version == version for one in _of(events, e.RolloutStarted)),
        weights=tuple(one.weight for one in _of(events, e.StepTaken) if one.version == version),
    )


def find_drift(journals: Iterable[e.Event], table: Timetable, promoted: Promoted | None) -> Drift | None:
    """The first episode that opened from the first changed window on, and before the successor served."""
    last = promoted.served_from if promoted else table.windows
    for window, event in _opened(journals, table):
        if table.stationary <= window < last:
            reason = event.reason
            return Drift(window, str(event.episode_kind), reason.rule, reason.measured, reason.limit, reason.samples)
    return None


def count_false_alarms(journals: Iterable[e.Event], table: Timetable, promoted: Promoted | None) -> int:
    """Episodes that opened in the stationary part, or in the windows right after the promotion."""
    calm = set(range(table.stationary))
    if promoted:
        calm |= set(range(promoted.served_from, promoted.served_from + AFTER))
    return sum(window in calm for window, _ in _opened(journals, table))


def find_refused(journals: Iterable[e.Event], bad_recipe: str) -> Refused | None:
    """The refusal of the version that was trained by `bad_recipe`."""
    events = list(journals)
    recipes = {one.version: one.recipe for one in _of(events, e.ModelVersionCreated)}
    for event in _of(events, e.VersionRefused):
        if recipes.get(event.version) == bad_recipe:
            return Refused(event.version, bad_recipe, event.failed)
    return None


def millis(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def _opened(journals: Iterable[e.Event], table: Timetable) -> Iterator[tuple[int, e.WindowJudged]]:
    for event in _of(journals, e.WindowJudged):
        if event.episode is e.Episode.OPENED:
            yield table.window(event.start), event


def _of(events: Iterable[e.Event], kind: type[E_]) -> list[E_]:
    return [event for event in events if isinstance(event, kind)]


def _after(rows: list[Row], table: Timetable, promoted: Promoted | None) -> float | None:
    """None where one of the windows has no labels: a promotion too late has not been seen to help."""
    if promoted is None:
        return None
    windows = range(promoted.served_from, promoted.served_from + AFTER)
    labelled = {table.window(row.time) for row in rows if row.label is not None}
    return _quality(rows, table, windows.start, windows.stop) if labelled.issuperset(windows) else None


def _quality(rows: list[Row], table: Timetable, first: int, end: int) -> float | None:
    measured = quality(between(rows, table.begin(first), table.begin(end)))
    return None if measured is None else round(measured, 4)
