"""What was served in a replay, row by row, and how good it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from everloop import events as e
from everloop.demo.served import auc
from everloop.replay.rows import Labels
from everloop.replay.watching import Said

RECENT = 1_000
"""Labelled rows that the quality in the progress bar is measured on."""


@dataclass
class Served:
    """Everything of one model: scores as the topic has them, each id once, and what the journals said of it.

    `binary`: AUC is what quality means; of other tasks none is measured here.
    """

    model: str
    binary: bool = True
    scores: dict[str, float] = field(default_factory=dict)
    events: list[e.Event] = field(default_factory=list)
    champion: str | None = None
    labelled: deque[tuple[float, float]] = field(default_factory=lambda: deque[tuple[float, float]](maxlen=RECENT))

    def see(self, said: Said) -> None:
        """Rows were served; history has no version, an errored row no score."""
        if said.model != self.model or said.version is None:
            return
        for name, score in zip(said.ids, said.scores, strict=True):
            if score is not None:
                self.scores.setdefault(name, score)

    def hear(self, event: e.Event) -> None:
        """A journal has one more valid event."""
        if event.model != self.model:
            return
        self.events.append(event)
        if isinstance(event, e.VersionPromoted):
            self.champion = event.version
        elif isinstance(event, e.VersionRolledBack):
            self.champion = event.champion

    def learn(self, labels: Labels) -> None:
        """Labels became known."""
        pairs = zip(labels.ids, labels.labels, strict=True)
        self.labelled.extend((self.scores[name], label) for name, label in pairs if name in self.scores)

    @property
    def recent(self) -> float | None:
        """AUC of the newest labelled rows."""
        return quality(self.labelled) if self.binary else None

    def prequential(self, truth: Mapping[str, float]) -> float | None:
        """AUC of all that was served: each row was scored before its label was known."""
        served = ((score, truth[name]) for name, score in self.scores.items() if name in truth)
        return quality(served) if self.binary else None

    def first_version(self) -> e.SignedVerdict | None:
        """The verdict of the first champion."""
        promoted = (event for event in self.events if isinstance(event, e.VersionPromoted))
        return next((event.verdict for event in promoted if event.previous is None), None)


def quality(pairs: Iterable[tuple[float, float]]) -> float | None:
    """AUC of scores with their labels; None where a class is missing."""
    known = list(pairs)
    return auc([score for score, _ in known], [label for _, label in known])
