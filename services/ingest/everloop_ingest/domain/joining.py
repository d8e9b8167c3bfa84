"""Labels meet their predictions, in whichever order they come. One partition of `keys`; a fold of its records alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, NamedTuple

from everloop.events import KeysRouted

HORIZON_MS: Final = 30 * 24 * 60 * 60 * 1000
"""How long predictions and labels are remembered after they were appended: as long as `keys` is kept."""
MOST_REMEMBERED: Final = 500_000
"""Predictions, and labels without one, in one partition; beyond it the oldest are forgotten, with a count."""


class Group(NamedTuple):
    """What rows of one outcomes record have in common."""

    model: str
    source: str
    version: str | None
    digest: str | None
    arm: str | None
    epoch: int | None
    shadow_version: str | None


class Prediction(NamedTuple):
    """A prediction without its id. `time` of its row in ms."""

    group: Group
    time: int
    bucket: int
    score: float | None
    shadow_score: float | None


class Label(NamedTuple):
    """What really happened, and when that was known (ms)."""

    value: float
    labelled_at: int


class Joined(NamedTuple):
    """One outcome row."""

    prediction_id: str
    prediction: Prediction
    label: Label


Key = tuple[str, str]
"""Model and prediction id."""


@dataclass(slots=True)
class Counts:
    """Rows that led to nothing: a `duplicate` says nothing new, what is `forgotten` has never met its other half."""

    duplicate: int = 0
    forgotten: int = 0


@dataclass(slots=True)
class Join:
    """What one partition remembers. In order of arrival, with the append time of each."""

    most: int = MOST_REMEMBERED
    open: dict[Key, tuple[Prediction, Label | None, int]] = field(default_factory=dict)
    parked: dict[Key, tuple[Label, int]] = field(default_factory=dict)
    groups: dict[Group, Group] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)

    def take(self, event: KeysRouted, appended_ms: int) -> list[Joined]:
        """Fold one record; the outcomes that follow, in order of its rows."""
        rows = self._predictions(event, appended_ms) if event.kind == "prediction" else self._labels(event, appended_ms)
        return [row for row in rows if row is not None]

    def duplicates(self, model: str) -> int:
        """Rows of a model so far that said nothing new."""
        return self.counts.get(model, Counts()).duplicate

    def forget(self, appended_ms: int) -> None:
        """Drop what was appended longer than the horizon before `appended_ms`, and the oldest beyond the bound."""
        oldest = appended_ms - HORIZON_MS
        ages = ((key, at) for key, (_, _, at) in self.open.items())
        for key in _expired(ages, oldest, len(self.open) - self.most):
            if self.open.pop(key)[1] is None:
                self._count(key[0]).forgotten += 1
        waits = ((key, at) for key, (_, at) in self.parked.items())
        for key in _expired(waits, oldest, len(self.parked) - self.most):
            del self.parked[key]
            self._count(key[0]).forgotten += 1

    def _predictions(self, event: KeysRouted, appended_ms: int) -> list[Joined | None]:
        group = self._group(event)
        buckets = event.bucket or (0,) * len(event.prediction_id)
        score, shadow = event.score or (), event.shadow_score or ()
        found = []
        for row, name in enumerate(event.prediction_id):
            said = Prediction(
                group, event.times[row], buckets[row], score[row] if score else None, shadow[row] if shadow else None
            )
            found.append(self._prediction((event.model, name), said, appended_ms))
        return found

    def _prediction(self, key: Key, said: Prediction, appended_ms: int) -> Joined | None:
        """The first one with an id counts."""
        if key in self.open:
            self._count(key[0]).duplicate += 1
            return None
        waited = self.parked.pop(key, None)
        label = waited[0] if waited else None
        self.open[key] = (said, label, appended_ms)
        return Joined(key[1], said, label) if label else None

    def _labels(self, event: KeysRouted, appended_ms: int) -> list[Joined | None]:
        rows = zip(event.prediction_id, event.label or (), event.times, strict=True)
        return [self._label((event.model, name), Label(value, at), appended_ms) for name, value, at in rows]

    def _label(self, key: Key, said: Label, appended_ms: int) -> Joined | None:
        found, waited = self.open.get(key), self.parked.get(key)
        holds, news = latest(found[1] if found else waited[0] if waited else None, said)
        if not news:
            self._count(key[0]).duplicate += 1
        if found is None:
            self.parked[key] = (holds, waited[1] if waited else appended_ms)
            return None
        self.open[key] = (found[0], holds, found[2])
        return Joined(key[1], found[0], holds) if news else None

    def _group(self, event: KeysRouted) -> Group:
        """One object for all rows that share it: there are many rows and few groups."""
        group = Group(
            event.model, event.source, event.version, event.digest, event.arm, event.epoch, event.shadow_version
        )
        return self.groups.setdefault(group, group)

    def _count(self, model: str) -> Counts:
        return self.counts.setdefault(model, Counts())


def grouped(rows: list[Joined]) -> dict[Group, list[Joined]]:
    """Rows by group, each in order, the groups in order of their first row."""
    found: dict[Group, list[Joined]] = {}
    for row in rows:
        found.setdefault(row.prediction.group, []).append(row)
    return found


@dataclass(slots=True)
class Watermarks:
    """Heartbeats that came through each source partition; together they are as late as the latest of them."""

    sources: int
    heard: dict[int, dict[str, int]] = field(default_factory=dict)

    def beat(self, source: int, clocks: Mapping[str, int]) -> None:
        """A heartbeat came through `source`; clocks never go back."""
        known = self.heard.setdefault(source, {})
        for name, now in clocks.items():
            known[name] = max(now, known.get(name, 0))

    def passed(self) -> dict[str, int]:
        """The minimum over all sources per clock; empty while one source is silent, or lacks a clock that another has.

        A model's own clock hides the clock of all, so to pass on the one without the other would close its windows.
        """
        names = {name for known in self.heard.values() for name in known}
        whole = len(self.heard) == self.sources and all(known.keys() == names for known in self.heard.values())
        return {name: min(known[name] for known in self.heard.values()) for name in sorted(names)} if whole else {}


def latest(known: Label | None, said: Label) -> tuple[Label, bool]:
    """Give the label that holds now, and whether it is news: the last `labelled_at` wins, of equals the first.

    The same value again is no correction, but what is known of it is as new as the newest word.
    """
    if known is None:
        return said, True
    if said.value == known.value:
        return max(known, said, key=lambda label: label.labelled_at), False
    return (said, True) if said.labelled_at > known.labelled_at else (known, False)


def _expired(ages: Iterable[tuple[Key, int]], oldest: int, surplus: int) -> list[Key]:
    """The first of `ages`, which come in order of age, as long as they are too old or too many."""
    found = takewhile(lambda item: item[0] < surplus or item[1][1] < oldest, enumerate(ages))
    return [key for _, (key, _) in found]
