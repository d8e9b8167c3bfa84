"""Which rows of a record go to which partition of the join: by prediction id, whoever produced them. Stateless."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from everloop.buckets import buckets, buckets_in, hashes, lanes_in
from everloop.events import ENVELOPE, FeedbackLogged, FeedbackRouted, KeysRouted, LabelsLogged, named_id
from everloop.rows.values import Column, Rows, listed
from everloop_ingest.domain.declared import pieces, scalars
from everloop_ingest.domain.picking import picked

LABEL_SOURCE: Final = "labels"
Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Routed:
    """One record of `keys`: the fields of its `kind` in their order. Columns are lists or arrays, NaN for missing."""

    identity: UUID
    time: datetime
    model: str
    fields: dict[str, Any]
    kind: type[KeysRouted | FeedbackRouted] = KeysRouted


def route(
    event: Rows | LabelsLogged, partitions: int, origin: str, declared: Sequence[str] = ()
) -> list[tuple[int, Routed]]:
    """Split a record by target partition: predictions before the labels that they bring along, in order of row.

    `origin` names the record (its place and offset), so that a repeat has the same ids. Predictions carry the values of
    the `declared` columns.
    """
    if isinstance(event, LabelsLogged) and event.entity_id is not None:
        return [(number, _ranges(event, f"{origin}/{number}")) for number in range(partitions)]
    hashed = hashes(event.prediction_id)
    keys = _Labels(event) if isinstance(event, LabelsLogged) else _Keys(event, hashed, declared)
    targets = lanes_in(hashed, partitions)
    return [
        (number, part)
        for number in np.unique(targets).tolist()
        for part in keys.parts(np.flatnonzero(targets == number), f"{origin}/{number}")
    ]


def route_feedback(event: FeedbackLogged, rows: Numbers, partitions: int, origin: str) -> Iterator[tuple[int, Routed]]:
    """The same of these rows of feedback, by name as well."""
    targets = lanes_in(hashes(picked(event.prediction_id, rows)), partitions)
    names = np.array(event.name, dtype=object)[rows]
    for number in np.unique(targets).tolist():
        for name in dict.fromkeys(names[targets == number].tolist()):
            some = rows[(targets == number) & (names == name)]
            fields = {
                "name": name, "prediction_id": picked(event.prediction_id, some), "times": picked(event.said_at, some),
                "value": picked(event.value, some),
            }  # fmt: skip
            identity = named_id(FeedbackRouted.__name__, f"{origin}/{number}/{name}")
            yield number, Routed(identity, event.time, event.model, fields, FeedbackRouted)


class _Keys:
    """What the join needs of a record of rows; columns are prepared once for all partitions."""

    def __init__(self, rows: Rows, hashed: NDArray[np.uint64], declared: Sequence[str]) -> None:
        self.rows = rows
        self.time = datetime.fromtimestamp(max(rows.times, default=0) / 1000, UTC)
        self.times = np.array(rows.times, np.int64)
        self.buckets = buckets(rows.entity_id) if rows.entity_id else buckets_in(hashed)
        self.score, self.label, self.shadow = _finite(rows.score), _finite(rows.label), _finite(rows.shadow_score)
        self.said = {name: getattr(rows, name) for name in ("version", "digest", "arm", "epoch", "shadow_version")}
        told = declared if rows.source != "bootstrap" else ()  # history is in no window
        self.segments = {name: scalars(rows.features.get(name), len(rows)) for name in told}

    def parts(self, rows: Numbers, name: str) -> Iterator[Routed]:
        """Predictions, and the labels that came with them (bootstrap does so): known when the row was made."""
        for piece, some in pieces(rows, carried=bool(self.segments)):
            yield self._part(some, f"{name}/prediction{piece}", {"kind": "prediction"}, self.said, self._told(some))
        labelled = rows[~np.isnan(self.label[rows])] if self.label is not None else rows[:0]
        if labelled.size:
            yield self._part(labelled, f"{name}/label", {"kind": "label"}, {}, {"label": _of(self.label, labelled)})

    def _told(self, rows: Numbers) -> dict[str, Any]:
        return {
            "bucket": self.buckets[rows], "score": _of(self.score, rows), "shadow_score": _of(self.shadow, rows),
            "entity_id": picked(self.rows.entity_id, rows) if self.rows.entity_id else None,
            "segments": {name: picked(values, rows) for name, values in self.segments.items()} or None,
        }  # fmt: skip

    def _part(
        self, rows: Numbers, name: str, kind: dict[str, Any], said: dict[str, Any], more: dict[str, Any]
    ) -> Routed:  # fmt: skip
        known = self.rows
        keys = {"prediction_id": picked(known.prediction_id, rows), "times": self.times[rows]}
        fields = {**_EMPTY, **kind, "source": known.source, **said, **keys, **more}
        return Routed(named_id("KeysRouted", name), self.time, known.model, fields)


class _Labels:
    """The same of a record of labels."""

    def __init__(self, event: LabelsLogged) -> None:
        self.event = event
        self.times, self.label = np.array(event.labelled_at, np.int64), np.array(event.label, np.float64)

    def parts(self, rows: Numbers, name: str) -> Iterator[Routed]:
        """The labels of one partition."""
        fields = {
            **_EMPTY, "kind": "label", "source": LABEL_SOURCE,
            "prediction_id": picked(self.event.prediction_id, rows), "times": self.times[rows],
            "label": self.label[rows],
        }  # fmt: skip
        yield Routed(named_id("KeysRouted", f"{name}/label"), self.event.time, self.event.model, fields)


def _ranges(event: LabelsLogged, name: str) -> Routed:
    """Labels by entity go to every partition: predictions of one entity are in all of them."""
    fields: dict[str, Any] = {
        **_EMPTY, "kind": "label", "source": LABEL_SOURCE, "prediction_id": [], "times": event.labelled_at,
        "label": event.label, "entity_id": event.entity_id, "start": event.start, "end": event.end,
    }  # fmt: skip
    return Routed(named_id("KeysRouted", f"{name}/label"), event.time, event.model, fields)


_EMPTY: Final = dict.fromkeys(name for name in KeysRouted.model_fields if name not in ENVELOPE)
"""Every field, in the order of the contract."""


def _finite(column: Column | None) -> NDArray[np.float64] | None:
    """Numbers as JSON can say them: Arrow has infinities, which are no score and no label. NaN is missing."""
    if column is None:
        return None
    numbers = np.array(listed(column) if not isinstance(column, np.ndarray) else column, np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _of(column: NDArray[np.float64] | None, rows: Numbers) -> NDArray[np.float64] | None:
    return None if column is None else column[rows]
