"""What lies in the archive, by model and kind: a sum over the files that count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from everloop.archive.keeping import File
from everloop.archive.verifying import ends_of, said_of
from everloop.facts import Facts, fold
from everloop.runtime.log import Log
from everloop.story import moment


@dataclass(slots=True)
class Holding:
    """Files of one kind of one model. `start` and `end`: begin of the oldest and of the newest slice (ms).

    `watermark` (ms): up to where event time was known to be complete. `bytes` is None where older manifests do not say.
    """

    model: str
    kind: str
    files: int = 0
    rows: int = 0
    history_rows: int = 0
    bytes: int | None = 0
    start: int | None = None
    end: int | None = None
    watermark: int = 0

    def add(self, said: File) -> None:
        """One file more."""
        starts = [part.start for part in said.coverage]
        self.files, self.rows = self.files + 1, self.rows + said.rows
        self.history_rows += said.history_rows
        self.bytes = None if self.bytes is None or said.size is None else self.bytes + said.size
        self.start = min([*starts, *([] if self.start is None else [self.start])], default=None)
        self.end = max([*starts, *([] if self.end is None else [self.end])], default=None)
        self.watermark = max(self.watermark, said.watermark)

    def cells(self) -> list[str]:
        """The row of a table."""
        figures = (self.files, self.rows, self.history_rows, "–" if self.bytes is None else self.bytes)
        times = ("–" if at is None else moment(at) for at in (self.start, self.end, self.watermark))
        return [self.model, self.kind, *map(str, figures), *times]


def holdings(log: Log, model: str | None = None) -> list[Holding]:
    """What each model has, in order of name and kind."""
    facts: dict[str, Facts] = defaultdict(Facts)
    for _, said in said_of(log, ends_of(log, model), model):
        facts[said.model] = fold(facts[said.model], said)
    return summed(file for one in facts.values() for file in one.manifests)


def summed(counting: Iterable[File]) -> list[Holding]:
    """The sums over files that count."""
    found: dict[tuple[str, str], Holding] = {}
    for said in counting:
        found.setdefault((said.model, said.kind), Holding(said.model, said.kind)).add(said)
    return [found[key] for key in sorted(found)]
