"""What was decided in a replay, in lines that are the same whenever the same was decided. Pure.

A line has type, model time, version ordinal, rule, measured value and limit; no ids, and nothing that the wall clock
has measured. A verdict and a look have a line per check and measure. What a service only takes note of (a version
arrives, a job starts, a turn is deferred) is no decision, and whether it is said may differ from run to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

import orjson

from everloop import events as e
from everloop.replay.watching import JOURNALS

Line = Mapping[str, str | float | int | None]
Figure = tuple[str, float | str | None, float | str | None]
"""Rule, measured value, limit."""
WALL: Final = frozenset({"latency_p95", "mean_latency", "latency_vs_champion"})
"""Checks and looks that the wall clock has measured."""
DIGITS: Final = 9
"""Significant digits of a number: the last bits of a sum are no decision."""
_NOTES: Final = (e.VersionReceived, e.ChecksStarted, e.TurnDeferred, e.EpisodeNoted, e.VetoNoted)
_JOURNAL_OF: Final = {kind: place for place, journal in enumerate(JOURNALS) for kind in journal.events}


def decisions(events: Iterable[e.Event]) -> list[Line]:
    """The lines of one model's journals, by model time; within it as drift, trainer, gate and rollout said them."""
    said = [event for event in events if type(event) in _JOURNAL_OF and not _is_note(event)]
    said.sort(key=lambda event: (event.time, _JOURNAL_OF[type(event)], event.sequence or 0))
    return [_line(event, figure) for event in said for figure in _figures(event)]


def written(lines: Sequence[Line]) -> bytes:
    """As the content of a file: one JSON object per line."""
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def first_difference(expected: bytes, found: bytes) -> str | None:
    """Name the first line that differs, with what it was and what it is; None where all are equal."""
    pairs = zip_longest(expected.splitlines(), found.splitlines())
    for number, (old, new) in enumerate(pairs, start=1):
        if old != new:
            return f"decision {number} differs: {_said(old)} before, {_said(new)} now"
    return None


def _is_note(event: e.Event) -> bool:
    """That a job was lost and starts again is the machine's doing."""
    return isinstance(event, _NOTES) or (isinstance(event, e.TrainingStarted) and event.attempt > 1)


def _said(line: bytes | None) -> str:
    return "nothing" if line is None else line.decode(errors="replace")


def _line(event: e.Event, figure: Figure) -> Line:
    rule, measured, limit = figure
    return {
        "type": event.TYPE, "time": event.time.isoformat(), "version": _ordinal(event), "rule": rule,
        "measured": _rounded(measured), "limit": _rounded(limit),
    }  # fmt: skip


def _ordinal(event: e.Event) -> int | None:
    """Versions are counted, so a name is an ordinal; a run is about the version that it makes."""
    name = event.spec.version if isinstance(event, e.TrainingStarted) else getattr(event, "version", None)
    return int(name) if isinstance(name, str) and name.isdecimal() else None


def _rounded(value: float | str | None) -> float | str | None:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _figures(event: e.Event) -> Iterator[Figure]:
    match event:
        case e.WindowJudged():
            yield _reason(event.reason)
            yield f"{event.kind} {event.verdict}, episode {event.episode}", event.rows, None
        case e.VersionPassed() | e.VersionHeld() | e.VersionRefused():
            yield from (_check(check) for check in event.checks if check.name not in WALL)
        case e.WindowLooked():
            yield f"{event.phase} {event.kind} {event.verdict}", event.end, None
            yield from ((look.measure, look.estimate, look.limit) for look in event.looks if look.measure not in WALL)
        case _:
            yield from _turn(event)


def _turn(event: e.Event) -> Iterator[Figure]:
    match event:
        case e.ModelVersionCreated():
            yield "train_rows", event.train_rows, None
            yield from ((f"holdout {name}", value, None) for name, value in sorted(event.metrics.items()))
        case e.TurnClosed():
            yield event.outcome, None, None
        case e.RolloutStarted():
            yield "champion", event.champion, None
        case e.StepTaken():
            yield _reason(event.reason)
            yield "weight", event.weight, None
        case e.VerdictStale():
            yield "measured_against", event.measured_against, event.champion
        case _:
            reason = getattr(event, "reason", None)
            yield _reason(reason) if isinstance(reason, e.Reason) else (event.TYPE, None, None)


def _check(check: e.Check) -> Figure:
    """A digest is an id: that it is right is the verdict."""
    reason = check.reason
    measured = None if check.name == "digest" and check.verdict == "pass" else reason.measured
    return f"{check.name} {check.verdict}: {reason.rule}", measured, None if check.name == "digest" else reason.limit


def _reason(reason: e.Reason) -> Figure:
    return reason.rule, reason.measured, reason.limit
