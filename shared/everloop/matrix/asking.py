"""The matrix of a question about a past moment, when how far back its rows reach is not known before they are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from everloop.events import Snapshot
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.matrix.ports import Fetch, Matrix, MatrixBuilder
from everloop.snapshots import SPARE, plan


@dataclass(frozen=True, slots=True)
class Question:
    """What a loop would learn from, as of a moment (ms); None is now."""

    loop: Loop
    facts: Facts
    as_of: int | None = None

    def ask(self, builder: MatrixBuilder, fetch: Fetch, path: Path) -> tuple[Snapshot, Matrix]:
        """Build it, from twice as much again and again while it has fewer rows than it may have.

        Manifests count labels, not which of them were known at the moment. Raises as `MatrixBuilder.build`.
        """
        spare = SPARE
        while True:
            snapshot = plan(self.loop, self.facts, as_of=self.as_of, spare=spare)
            matrix = builder.build(snapshot, fetch, path)
            all_there = snapshot.start <= (self.facts.oldest("outcomes") or 0)
            if all_there or snapshot.rows is None or matrix.rows >= snapshot.rows:
                return snapshot.model_copy(update={"content": matrix.content}), matrix
            spare *= 2
