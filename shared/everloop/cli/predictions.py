"""Look for one prediction id on `predictions`, from the end backwards: what a person asks about is mostly recent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from everloop import topics
from everloop.codec import ARROW
from everloop.errors import InvalidError
from everloop.events import PredictionsLogged
from everloop.rows import read_event
from everloop.runtime.log import Log, Place, Record, places_of
from everloop.story.served import one_row

if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK = 5_000
"""Records per partition that are looked through at a time."""


def find_prediction(
    log: Log, name: str, model: str | None, most: int, seen: Callable[[int], None] = lambda _: None
) -> tuple[PredictionsLogged | None, int]:
    """The newest record with this row (of `model`, if given), cut down to it; and how many records were looked through.

    `seen` is told after each chunk. A record is decoded only when the id stands in its bytes; in an Arrow stream it may
    stand compressed.
    """
    spellings = {json.dumps(name)[1:-1].encode(), json.dumps(name, ensure_ascii=False)[1:-1].encode()}
    looked = 0
    for chunk in _backwards(log, most):
        looked += len(chunk)
        for record in sorted(chunk, key=lambda one: (one.appended_ms, one.place, one.offset), reverse=True):
            if _is_arrow(record) or any(spelling in (record.value or b"") for spelling in spellings):
                row = _row(record, name)
                if row is not None and model in {None, row.model}:
                    return row, looked
        seen(looked)
    return None, looked


def _is_arrow(record: Record) -> bool:
    return dict(record.headers).get("content-type", b"").startswith(ARROW)


def _row(record: Record, name: str) -> PredictionsLogged | None:
    try:
        event = read_event(record.value, record.headers)
    except InvalidError:
        return None
    return one_row(event, name) if isinstance(event, PredictionsLogged) else None


def _backwards(log: Log, most: int) -> Iterator[list[Record]]:
    """Chunks of all partitions together, the newest first; no more than `most` records in all."""
    ends: Mapping[Place, int] = log.ends(places_of(log, [topics.PREDICTIONS.name]))
    tail = log.tail()
    left = most
    while left > 0 and (open_ends := {place: end for place, end in ends.items() if end > 0}):
        size = max(1, min(CHUNK, left // len(open_ends)))
        starts = {place: max(0, end - size) for place, end in open_ends.items()}
        tail.seek(starts)
        records = tail.read_to(open_ends)
        if not records:
            break  # the broker has deleted all that is older
        left -= len(records)
        yield records
        ends = starts
    tail.close()
