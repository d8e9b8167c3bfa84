"""Whether drift sees its probe: what must be found of each period, and until when. Pure.

Only what was asked counts: a period of which some window was not sent in time (the process has just started, the broker
was gone, the machine slept) proves nothing, for better or worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from everloop.events import Episode, WindowJudged
from everloop_drift.domain.probe import HEARS, METRIC, Schedule

INPUTS, QUALITY, FALSE = "drift of inputs", "fall of quality", "drift where there was none"
WANTED: Final = frozenset({INPUTS, QUALITY, *HEARS})
"""What must be found of each drift: by the limits of inputs, by realised quality, and by each detector of errors."""


class Answer(NamedTuple):
    """What became of a period that was asked in full: what was not found, or found wrongly; empty when all is well."""

    begin: int
    lacking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """Windows sent and what was found of them, by the begin of their period (ms); whether drift is held to be blind."""

    sent: Mapping[int, frozenset[int]] = field(default_factory=dict)
    found: Mapping[int, frozenset[str]] = field(default_factory=dict)
    blind: bool = False


def asked(watch: Watch, schedule: Schedule, start: int) -> Watch:
    """The rows of the window that begins at `start` are in the log, and it has not ended yet."""
    begin = schedule.begin(start)
    return replace(watch, sent={**watch.sent, begin: watch.sent.get(begin, frozenset()) | {start}})


def heard(watch: Watch, schedule: Schedule, event: WindowJudged) -> Watch:
    """A window of the probe was judged; of a period that nobody asks about it is no news."""
    begin = schedule.begin(event.start)
    if begin not in watch.sent:
        return watch
    known = watch.found.get(begin, frozenset())
    return replace(watch, found={**watch.found, begin: known | seen_in(event, schedule)})


def seen_in(event: WindowJudged, schedule: Schedule) -> frozenset[str]:
    """What one verdict finds."""
    drifted = event.verdict == "drifted"
    if not schedule.drifts(event.start):
        return frozenset({FALSE}) if drifted or event.detections else frozenset()
    if event.kind == "inputs":
        return frozenset({INPUTS}) if drifted and event.episode is Episode.OPENED else frozenset()
    fell = any(one.name == METRIC and one.drifted for one in event.measures)
    return frozenset({one.detector for one in event.detections} | ({QUALITY} if fell else set()))


def answers(watch: Watch, schedule: Schedule, now: int, deaf: Sequence[str]) -> tuple[Watch, tuple[Answer, ...]]:
    """What is due at `now` (ms), oldest first, and the watch without it; `deaf` failed the test of their own."""
    due = sorted(begin for begin in watch.sent if schedule.due(begin) <= now)
    whole = [begin for begin in due if watch.sent[begin].issuperset(schedule.starts(begin))]
    said = tuple(Answer(begin, _lacking(watch.found.get(begin, frozenset()), deaf)) for begin in whole)
    kept = replace(
        watch,
        sent={begin: starts for begin, starts in watch.sent.items() if begin not in due},
        found={begin: found for begin, found in watch.found.items() if begin not in due},
        blind=bool(said[-1].lacking) if said else watch.blind,
    )
    return kept, said


def _lacking(found: frozenset[str], deaf: Sequence[str]) -> tuple[str, ...]:
    return (*sorted(WANTED - found), *sorted(found & {FALSE}), *(f"{name} behind a NaN" for name in deaf))
