"""Records of `keys` as the columns that the join folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from everloop.errors import InvalidError
from everloop_ingest.domain.batches import Group, Part
from everloop_ingest.domain.declared import values_of
from everloop_ingest.domain.ranges import Ranges
from everloop_ingest.domain.shelves import ROW, Floats, Numbers, Said, digests


def part_of(model: str, data: Mapping[str, Any], appended_ms: int) -> Part:
    """The part of a record with these fields of `KeysRouted`. Raises `InvalidError` where they are no columns."""
    try:
        return _part(model, data, appended_ms)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InvalidError("shape", "keys are columns of numbers, all as long as prediction_id") from None


def feedback_of(model: str, data: Mapping[str, Any], appended_ms: int) -> Part:
    """The part of a record with these fields of `FeedbackRouted`. Raises as `part_of`."""
    try:
        ids, name = data["prediction_id"], data["name"]
        times, value = _whole(data["times"], len(ids)), _floats(data["value"], len(ids))
        group = Group(model, "feedback", None, None, None, None, None)
        return Part(group, ids, times, label=value, appended_ms=appended_ms, feedback=name)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InvalidError("shape", "feedback is columns of numbers, all as long as prediction_id") from None


def _part(model: str, data: Mapping[str, Any], appended_ms: int) -> Part:
    by_entity = data["kind"] == "label" and data.get("entity_id") is not None
    ids: Sequence[str] = data["entity_id"] if by_entity else data["prediction_id"]
    group = Group(
        model, data["source"], data.get("version"), data.get("digest"), data.get("arm"), data.get("epoch"),
        data.get("shadow_version"), tuple(data.get("segments") or ()),
    )  # fmt: skip
    times = _whole(data["times"], len(ids))
    if data["kind"] == "prediction":
        said, values = _said(model, len(ids), data), values_of(data.get("segments"), len(ids))
        return Part(group, ids, times, said=said, values=values, appended_ms=appended_ms)
    label = _floats(data["label"], len(times))
    return Part(group, ids, times, label=label, ranges=_ranges(model, times, data), appended_ms=appended_ms)


def _ranges(model: str, times: Numbers, data: Mapping[str, Any]) -> Ranges | None:
    """The ranges of labels that name entities; None of those that name predictions."""
    if data.get("entity_id") is None:
        return None
    start, end = np.array(data["start"], np.int64), np.array(data["end"], np.int64)
    entities = digests(model, data["entity_id"])
    if not len(entities) == len(start) == len(end) == len(times):
        raise ValueError
    return Ranges(entities, start, end)


def _said(model: str, rows: int, data: Mapping[str, Any]) -> Said:
    said: Said = np.zeros(rows, ROW)
    if data.get("entity_id") is not None:
        said["entity"] = digests(model, data["entity_id"])
    said["time"] = data["times"]
    said["bucket"] = 0 if data.get("bucket") is None else data["bucket"]
    said["score"] = _floats(data.get("score"), rows)
    said["shadow"] = _floats(data.get("shadow_score"), rows)
    return said


def _whole(column: Sequence[int], rows: int) -> Numbers:
    found = np.array(column, np.int64)
    if len(found) != rows:
        raise ValueError
    return found


def _floats(column: Sequence[float | None] | None, rows: int) -> Floats:
    """NaN for what is missing."""
    found = np.full(rows, np.nan) if column is None else np.array(column, np.float64)
    if len(found) != rows:
        raise ValueError
    return found
