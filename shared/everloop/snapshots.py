"""Which rows of the archive a loop learns from, and what makes two such questions the same. Pure."""

from __future__ import annotations

import json
from datetime import timedelta
from hashlib import sha256
from typing import Final

from everloop.errors import InvalidError
from everloop.events import Golden, Snapshot, Tail
from everloop.facts import Facts
from everloop.loop import Loop

FORM: Final = "everloop.snapshot.v1"
_FILES: Final = ("predictions", "outcomes")
_DERIVED: Final = {"id", "content", *_FILES}
SINCE_UNKNOWN: Final = timedelta(days=90)
"""What `since: change` learns from while no change is known."""
SPARE: Final = 2
"""The newest rows are looked for among so many times as many labels: some are corrections, or of no prediction."""
MILLISECOND: Final = timedelta(milliseconds=1)


def plan(
    loop: Loop, facts: Facts, *, change: int | None = None, all_rows: bool = False, as_of: int | None = None,
    spare: int = SPARE,
) -> Snapshot:  # fmt: skip
    """Cut the labelled rows of the archive by the loop's strategy.

    `change` (ms) is where `since: change` begins. `all_rows` is the strategy `full`, whatever the loop says; `as_of`
    (ms) takes the archive as it was known then. `spare` is how many labels are looked for per row that is asked for.
    """
    slice_ms = loop.windows.every // MILLISECOND
    end = (facts.newest("outcomes") or 0) + slice_ms
    end = end if as_of is None else min(end, as_of + 1)
    oldest = facts.oldest("outcomes") or 0
    data, golden = loop.train.data, loop.train.golden
    strategy, start, half_life, rows, tail = data.strategy, oldest, None, None, None
    span = (data.span or SINCE_UNKNOWN) // MILLISECOND
    if all_rows:
        strategy = "full"
    elif strategy == "since" and change is not None:
        start = change
    elif strategy in {"since", "rolling"}:
        strategy, start = "rolling", max(oldest, end - span)
    elif strategy == "rolling_rows":
        rows = data.rolling_rows or 0
        start = facts.reach("outcomes", spare * rows, end)
    elif strategy == "weighted":
        half_life = span
    elif data.tail is not None:
        tail = Tail(before=max(0, end - span), rows=data.tail.rows, by=data.tail.by, seed=loop.train.seed)
    touched = max(0, start - slice_ms + 1)  # a slice that begins before the start may reach into the range
    cut = Snapshot(
        start=start, end=end, strategy=strategy, half_life_ms=half_life, rows=rows, as_of=as_of, tail=tail,
        where=loop.train.where, golden=Golden(share=golden.share) if golden else None,
        predictions=facts.files("predictions", touched, end), outcomes=facts.files("outcomes", touched, end),
    )  # fmt: skip
    return identified(loop.model, cut)


def held_out(snapshot: Snapshot, cut: int) -> Snapshot:
    """The rows from the cut (ms) on: all of them, and as they are; none whose id was there before the cut."""
    others = {"rows": None, "tail": None, "id": None, "content": None}
    return snapshot.model_copy(update={"start": cut, "known_since": snapshot.start, "strategy": "holdout", **others})


def identified(model: str, snapshot: Snapshot) -> Snapshot:
    """Give the snapshot its `id`: the SHA-256 of the model, the query and the digests of its files, as JSON.

    Where the files lie is no part of it, nor is their order, which their offsets give.
    """
    query = snapshot.model_dump(mode="json", exclude=_DERIVED, exclude_defaults=True)
    files = {kind: sorted(file.sha256 for file in getattr(snapshot, kind)) for kind in _FILES}
    said = json.dumps([FORM, model, query, files], ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return snapshot.model_copy(update={"id": sha256(said.encode()).hexdigest()})


def require_same(snapshot: Snapshot, content: str) -> None:
    """Raise `InvalidError("snapshot_changed")` when its rows were read before, and were others."""
    if snapshot.content is not None and snapshot.content != content:
        message = (
            f"the rows of the snapshot have the digest {content[:12]}…, and had {snapshot.content[:12]}…: they are not "
            "those that were read before; restore the archive's files (`everloop archive verify`), or train anew"
        )
        raise InvalidError("snapshot_changed", message)
