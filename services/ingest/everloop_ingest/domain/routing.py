"""Which rows of a record go to which partition of the join: by prediction id, whoever produced them. Stateless."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from everloop.buckets import bucket, partition
from everloop.events import KeysRouted, LabelsLogged, PredictionsLogged, named_id

T = TypeVar("T")
LABEL_SOURCE: Final = "labels"


def route(event: PredictionsLogged | LabelsLogged, partitions: int, origin: str) -> list[tuple[int, KeysRouted]]:
    """Split a record by target partition: predictions before the labels that they bring along, in order of row.

    `origin` names the record (its place and offset), so that a repeat has the same ids.
    """
    targets = [partition(name, partitions) for name in event.prediction_id]
    found: list[tuple[int, KeysRouted]] = []
    for number in sorted(set(targets)):
        rows = [index for index, target in enumerate(targets) if target == number]
        if isinstance(event, LabelsLogged):
            found.append((number, _labels(event, rows, f"{origin}/{number}")))
            continue
        found.append((number, _predictions(event, rows, f"{origin}/{number}")))
        labelled = [row for row in rows if event.label is not None and event.label[row] is not None]
        if labelled:
            found.append((number, _own_labels(event, labelled, f"{origin}/{number}")))
    return found


def _predictions(event: PredictionsLogged, rows: Sequence[int], name: str) -> KeysRouted:
    entities = event.entities
    return KeysRouted(
        id=named_id("KeysRouted", f"{name}/prediction"),
        time=event.time,
        model=event.model,
        kind="prediction",
        source=event.source,
        version=event.version,
        digest=event.digest,
        arm=event.arm,
        epoch=event.epoch,
        shadow_version=event.shadow.version if event.shadow else None,
        prediction_id=_pick(event.prediction_id, rows),
        times=_pick(event.times, rows),
        bucket=tuple(bucket(entities[row]) for row in rows),
        score=_pick(event.score, rows) if event.score else None,
        shadow_score=_pick(event.shadow.score, rows) if event.shadow else None,
    )


def _own_labels(event: PredictionsLogged, rows: Sequence[int], name: str) -> KeysRouted:
    """Labels that came with their predictions (bootstrap does so): known when the row was made."""
    column = event.label or ()
    return KeysRouted(
        id=named_id("KeysRouted", f"{name}/label"),
        time=event.time,
        model=event.model,
        kind="label",
        source=event.source,
        prediction_id=_pick(event.prediction_id, rows),
        times=_pick(event.times, rows),
        label=tuple(value for row in rows if (value := column[row]) is not None),
    )


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
