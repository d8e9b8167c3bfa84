"""Which rows of a record go to which partition of the join: by prediction id, whoever produced them. Stateless."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

from everloop.buckets import buckets, partition
from everloop.events import KeysRouted, LabelsLogged, named_id
from everloop.rows.values import Column, Rows, listed

T = TypeVar("T")
LABEL_SOURCE: Final = "labels"


def route(event: Rows | LabelsLogged, partitions: int, origin: str) -> list[tuple[int, KeysRouted]]:
    """Split a record by target partition: predictions before the labels that they bring along, in order of row.

    `origin` names the record (its place and offset), so that a repeat has the same ids.
    """
    targets: dict[int, list[int]] = {}
    for row, name in enumerate(event.prediction_id):
        targets.setdefault(partition(name, partitions), []).append(row)
    if isinstance(event, LabelsLogged):
        return [(number, _labels(event, targets[number], f"{origin}/{number}")) for number in sorted(targets)]
    keys = _Keys(event)
    return [(number, part) for number in sorted(targets) for part in keys.parts(targets[number], f"{origin}/{number}")]


class _Keys:
    """What the join needs of a record of rows; columns are prepared once for all partitions."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.time = datetime.fromtimestamp(max(rows.times, default=0) / 1000, UTC)
        self.buckets = buckets(rows.entities).tolist()
        self.score, self.label, self.shadow = _finite(rows.score), _finite(rows.label), _finite(rows.shadow_score)

    def parts(self, rows: Sequence[int], name: str) -> list[KeysRouted]:
        """Predictions, and the labels that came with them (bootstrap does so): known when the row was made."""
        labelled = [row for row in rows if self.label is not None and self.label[row] is not None]
        predictions = self._predictions(rows, name)
        return [predictions, self._own_labels(labelled, name)] if labelled else [predictions]

    def _predictions(self, rows: Sequence[int], name: str) -> KeysRouted:
        known = self.rows
        return KeysRouted(
            id=named_id("KeysRouted", f"{name}/prediction"),
            time=self.time,
            model=known.model,
            kind="prediction",
            source=known.source,
            version=known.version,
            digest=known.digest,
            arm=known.arm,
            epoch=known.epoch,
            shadow_version=known.shadow_version,
            prediction_id=_pick(known.prediction_id, rows),
            times=_pick(known.times, rows),
            bucket=_pick(self.buckets, rows),
            score=_pick(self.score, rows) if self.score else None,
            shadow_score=_pick(self.shadow, rows) if self.shadow else None,
        )

    def _own_labels(self, rows: Sequence[int], name: str) -> KeysRouted:
        return KeysRouted(
            id=named_id("KeysRouted", f"{name}/label"),
            time=self.time,
            model=self.rows.model,
            kind="label",
            source=self.rows.source,
            prediction_id=_pick(self.rows.prediction_id, rows),
            times=_pick(self.rows.times, rows),
            label=tuple(value for row in rows if self.label and (value := self.label[row]) is not None),
        )


def _finite(column: Column | None) -> list[float | None] | None:
    """Numbers as JSON can say them: Arrow has infinities, which are no score and no label."""
    if column is None:
        return None
    return [value if value is None or math.isfinite(value) else None for value in listed(column)]


def _labels(event: LabelsLogged, rows: Sequence[int], name: str) -> KeysRouted:
    return KeysRouted(
        id=named_id("KeysRouted", f"{name}/label"),
        time=event.time,
        model=event.model,
        kind="label",
        source=LABEL_SOURCE,
        prediction_id=_pick(event.prediction_id, rows),
        times=_pick(event.labelled_at, rows),
        label=_pick(event.label, rows),
    )


def _pick(column: Sequence[T], rows: Sequence[int]) -> tuple[T, ...]:
    return tuple(column[row] for row in rows)
