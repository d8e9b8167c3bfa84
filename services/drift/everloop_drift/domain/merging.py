"""Partials of all partitions become one record per (model, window, kind), in order of window end. Pure.

Every arm carries its sums per bucket, also where it is alone: after a promotion the new champion is watched by them.
A window is complete when the watermark of every source partition has passed its end and the slack: grace for inputs,
the horizon of labels for outcomes. The record has the same bytes whoever makes it, and however often.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from operator import itemgetter
from typing import Literal

from everloop import topics
from everloop.events import EVERY_MODEL, ArmWindow, HeartbeatPassed, PartialSaved, WindowClosed
from everloop.loop import Loop
from everloop.profile import Profile
from everloop.sketch import ArmSums, LabelledScores, Sketch
from everloop_drift.domain.measures import column_window
from everloop_drift.domain.slices import SHADOW, Key, milliseconds

Kind = Literal["inputs", "outcomes"]
KINDS: tuple[tuple[Kind, topics.Topic], ...] = (("inputs", topics.PREDICTIONS), ("outcomes", topics.OUTCOMES))


@dataclass
class Merge:
    """What one partition of `partials` has told: the newest partial per source and key, the clocks per source."""

    partials: dict[Key, dict[tuple[str, int], PartialSaved]] = field(default_factory=dict)
    clocks: dict[tuple[str, int], Mapping[str, int]] = field(default_factory=dict)
    closed: dict[tuple[str, Kind], int] = field(default_factory=dict)

    def save(self, partial: PartialSaved) -> None:
        """Where two writers met, the larger source offset wins (rule 7)."""
        key = Key(partial.model, partial.version, partial.arm, partial.start, partial.end)
        source = (partial.topic, partial.partition)
        known = self.partials.setdefault(key, {}).get(source)
        if known is None or known.offset <= partial.offset:
            self.partials[key][source] = partial

    def forget(self, key: Key, source: tuple[str, int]) -> None:
        """A tombstone: the source has dropped its cell."""
        sources = self.partials.get(key, {})
        sources.pop(source, None)
        if not sources:
            self.partials.pop(key, None)

    def beat(self, passed: HeartbeatPassed) -> None:
        """The watermark of one source partition; it never goes back."""
        known = self.clocks.get((passed.topic, passed.partition), {})
        merged = {model: max(now, known.get(model, 0)) for model, now in passed.clocks.items()}
        self.clocks[passed.topic, passed.partition] = {**known, **merged}

    def watermark(self, model: str, topic: topics.Topic) -> int | None:
        """The smallest watermark over all partitions of `topic`; None while one is unknown."""
        known = [self.clocks.get((topic.name, number), {}) for number in range(topic.partitions)]
        marks = [clocks.get(model, clocks.get(EVERY_MODEL)) for clocks in known]
        return None if None in marks else min(mark for mark in marks if mark is not None)

    def due(self, loop: Loop, profiles: Mapping[str, Profile]) -> Iterator[WindowClosed]:
        """The windows of one model that are complete and were not closed before, in order of their closing times.

        A window never overtakes one of the other kind that should have closed before it: which of two topics was read
        first must not decide the order of what is judged.
        """
        every = milliseconds(loop.windows.every.total_seconds())
        while opens := self._opens(loop.model):
            closes, kind, topic = min(
                ((opens[kind] + every + _slack(loop, kind), kind, topic) for kind, topic in KINDS), key=itemgetter(0, 1)
            )
            mark = self.watermark(loop.model, topic)
            if mark is None or mark < closes:
                return
            yield self._close(loop, kind, opens[kind], opens[kind] + every, profiles)
            self.closed[loop.model, kind] = opens[kind] + every

    def _opens(self, model: str) -> dict[Kind, int]:
        """Where the next window of each kind begins (ms); empty before the first row."""
        first = min((key.start for key in self.partials if key.model == model), default=None)
        found = {kind: self.closed.get((model, kind), first) for kind, _ in KINDS}
        known = {kind: start for kind, start in found.items() if start is not None}
        return known if len(known) == len(KINDS) else {}

    def _close(self, loop: Loop, kind: Kind, start: int, end: int, profiles: Mapping[str, Profile]) -> WindowClosed:
        keys = sorted(key for key in self.partials if (key.model, key.start, key.end) == (loop.model, start, end))
        arms = [self._arm(key, kind, profiles[key.version]) for key in keys if key.version in profiles]
        filled = tuple(arm for arm in arms if arm.rows)
        return WindowClosed.named(
            f"{loop.model}/{kind}/{start}/{end}/0",
            datetime.fromtimestamp((end + _slack(loop, kind)) / 1000, UTC),
            loop.model,
            kind=kind,
            start=start,
            end=end,
            arms=filled,
            rows=sum(arm.rows for arm in filled if arm.arm != SHADOW),
        )

    def _arm(self, key: Key, kind: Kind, profile: Profile) -> ArmWindow:
        parts = [part.sketch for part in self.partials[key].values() if part.kind == kind]
        sums = reduce(ArmSums.merge, (ArmSums.from_plain(_mapping(part["sums"])) for part in parts), ArmSums.empty())
        if kind == "inputs":
            inputs = reduce(
                Sketch.merge, (Sketch.from_plain(_mapping(part["inputs"])) for part in parts), Sketch.empty()
            )
            return _inputs(key, inputs, sums, profile)
        scored = (LabelledScores.from_plain(_mapping(part["labelled"])) for part in parts)
        return _outcomes(key, reduce(LabelledScores.merge, scored, LabelledScores.empty()), sums, profile)


def _slack(loop: Loop, kind: Kind) -> int:
    """How long after its end a window waits (ms): the grace, or the horizon of labels."""
    slack = loop.windows.grace if kind == "inputs" else loop.labels.horizon
    return milliseconds(slack.total_seconds())


def _inputs(key: Key, sketch: Sketch, sums: ArmSums, profile: Profile) -> ArmWindow:
    columns = () if key.arm == SHADOW else profile.columns
    return ArmWindow(
        arm=key.arm,
        version=key.version,
        rows=sketch.rows,
        columns=tuple(column_window(column, sketch.columns[column.name]) for column in columns if sketch.rows),
        score=column_window(profile.score, sketch.score) if sketch.score else None,
        buckets=sums.to_plain(),
        unknown_columns=tuple(sketch.unknown_columns),
    )


def _outcomes(key: Key, labelled: LabelledScores, sums: ArmSums, profile: Profile) -> ArmWindow:
    reference = {
        f"{quality.metric}{suffix}": number
        for quality in profile.quality
        for suffix, number in (("", quality.value), ("_se", quality.standard_error))
    }
    return ArmWindow(
        arm=key.arm, version=key.version, rows=int(sums.labelled.sum()), buckets=sums.to_plain(),
        quality=labelled.to_plain(), reference_quality=reference,
    )  # fmt: skip


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
