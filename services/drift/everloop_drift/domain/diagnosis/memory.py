"""What is remembered of judged windows, so that a change is told from a state. Pure, bounded; a fold of the journal.

A value may be odd and have always been so: a date, an hour of the day, a flag that nobody sets. So the rules ask what
the column was like in the last window without a fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from everloop import diagnoses
from everloop.events import Detection, WindowJudged
from everloop_drift.domain.diagnosis.columns import Known
from everloop_drift.domain.diagnosis.stale import LIVELY

MOST_SPANS: Final = 256
COMPARED: Final = frozenset({"stable", "drifted", "data_fault"})
"""Verdicts of windows that were compared with a reference that counts."""


class Span(NamedTuple):
    """A stretch of event time (ms) whose windows of inputs had one diagnosis."""

    start: int
    end: int
    kind: diagnoses.Kind


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of one model's windows. `judged` counts compared windows of inputs of this version.

    `end` (ms) is where the last window of inputs ended. `spans` are diagnosed stretches of inputs, newest last: labels
    of those rows come later. `fired` are the detectors that fired since a window of outcomes was stable.
    """

    version: str | None = None
    judged: int = 0
    end: int = 0
    usual: Mapping[str, Known] = field(default_factory=dict)
    before: Mapping[str, Known] = field(default_factory=dict)
    changes: Mapping[str, int] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    fired: tuple[Detection, ...] = ()

    def of(self, version: str | None) -> Memory:
        """What of it is about this version: figures are distances from a version's reference."""
        return self if version == self.version else Memory(version, changes=self.changes, spans=self.spans)

    def kinds(self, start: int, end: int) -> Iterable[diagnoses.Kind]:
        """The diagnoses of inputs within this stretch, newest first."""
        return (one.kind for one in reversed(self.spans) if one.start < end and start < one.end)

    def follow(self, event: WindowJudged) -> Memory:
        """Fold one judged window that is no revision."""
        return self._inputs(event) if event.kind == "inputs" else self._outcomes(event)

    def _outcomes(self, event: WindowJudged) -> Memory:
        """Labels of a former champion's rows come late, and say nothing of this one's errors."""
        if event.version != self.version:
            return self
        return replace(self, fired=event.detections or (() if event.verdict == "stable" else self.fired))

    def _inputs(self, event: WindowJudged) -> Memory:
        known = self.of(event.version)
        known = replace(known, spans=_with(self.spans, event), judged=known.judged + (event.verdict in COMPARED))
        if not event.figures.columns or event.verdict == "schema_drift":
            return replace(known, end=max(self.end, event.end))
        now = {name: Known.of(event.figures.of(found)) for name, found in event.figures.columns.items()}
        return replace(
            known, end=event.end, before=now, usual=known.usual if event.verdict == "data_fault" else now,
            changes={name: _changes(known, name, one) for name, one in now.items()},
        )  # fmt: skip


def _changes(known: Memory, name: str, now: Known) -> int:
    """A column that has not been seen to change at every window so far is not expected to."""
    times, before = known.changes.get(name, 0), known.before.get(name)
    if before is None or times >= LIVELY:
        return times
    return times + 1 if before.content != now.content else 0


def _with(spans: tuple[Span, ...], event: WindowJudged) -> tuple[Span, ...]:
    """Windows that follow one another, or overlap, with the same diagnosis are one stretch."""
    if event.diagnosis is None:
        return spans
    kind = event.diagnosis.kind
    if spans and spans[-1].kind == kind and event.start <= spans[-1].end:
        return (*spans[:-1], Span(spans[-1].start, event.end, kind))
    return (*spans, Span(event.start, event.end, kind))[-MOST_SPANS:]
