"""On which rows a run learns, and whether they are there. Pure; reads the archive's manifests as facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from everloop.events import Segmenting, TrainingSpec, Watch
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.snapshots import plan
from everloop_trainer.domain.state import UNPAID, State, Turn

MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Supply:
    """Labelled rows for a turn: those that came since `since` (ms), of which `needed` are asked for."""

    since: int
    fresh: int
    needed: int
    change: int | None = None

    @property
    def enough(self) -> bool:
        """Whether a run may start on them."""
        return self.fresh >= self.needed


def supply(state: State, turn: Turn, loop: Loop, facts: Facts, *, last_chance: bool) -> Supply:
    """Count what there is since the newest known change.

    A change that another open episode has dated later counts, too: rows between the two show a world that is gone. At
    the deadline (`last_chance`) an older change that has enough rows is better than no run at all. A person's turn
    starts on any labelled rows, or on as many as it was asked to wait for, and on any at its deadline.
    """
    needed = max(1, loop.train.fresh_labels)
    counted = [_since(change, needed, facts) for change in _changes(state, turn)]
    found = [one for one in counted if one.enough]
    if turn.wanted.cause in UNPAID:
        change = found[0].change if found else state.last_change
        asked = 1 if last_chance else max(1, turn.wanted.rows or 1)
        return Supply(0, facts.archived_outcomes, asked, change)
    if not counted:
        since = state.last_cut or 0
        return Supply(since, facts.rows_since("outcomes", since), needed, state.last_change)
    return found[0] if found and last_chance else counted[0]


def _since(change: int, needed: int, facts: Facts) -> Supply:
    """Rows count only when the archive has passed the change: its newest watermark, since a partition may be silent."""
    passed = max((m.watermark for m in facts.manifests if m.kind == "outcomes"), default=0) >= change
    return Supply(change, facts.rows_since("outcomes", change) if passed else 0, needed, change)


def _changes(state: State, turn: Turn) -> list[int]:
    """The dated changes of open episodes and of the turn itself, newest first."""
    known = {one.change_at for one in (turn.wanted, *state.episodes) if one.change_at is not None}
    return sorted(known, reverse=True)


def specify(state: State, turn: Turn, loop: Loop, facts: Facts, rows: Supply) -> TrainingSpec:
    """Say all that the job needs. Versions are counted, features stay those of the champion once it has some."""
    champion, segments = facts.champion, loop.windows.segments
    return TrainingSpec(
        recipe=turn.wanted.recipe or loop.train.recipe,
        task=loop.task,
        seed=loop.train.seed,
        features=loop.features or (champion.features if champion else None),
        snapshot=plan(loop, facts, change=rows.change, all_rows=turn.wanted.cause == "bootstrap"),
        holdout=loop.train.holdout,
        version=str(state.versions + 1),
        timeout_s=loop.train.timeout.total_seconds(),
        segments=Segmenting(columns=segments.columns, most=segments.most) if segments else None,
        watch=watch(loop, rows.change),
        holdout_by=loop.train.holdout_by,
    )


def watch(loop: Loop, change: int | None) -> Watch:
    """How windows of this loop are cut and compared; those from before a known change are left out."""
    windows, drift = loop.windows, loop.drift
    enough = windows.min_rows if windows.rows is None else min(windows.min_rows, (windows.rows + 1) // 2)
    return Watch(
        every_ms=windows.every // MILLISECOND, size_ms=(windows.size or windows.every) // MILLISECOND,
        rows=windows.rows, min_rows=enough, test=drift.default.test, score_test=drift.score.test,
        season=drift.season, since=change,
    )  # fmt: skip
