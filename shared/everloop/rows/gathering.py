"""Many plain rows at once: those that say the same things become one record of columns.

A row by itself costs 20 us, most of it Python's steps around it; here a row costs what its JSON costs, and a few
look-ups in C. What is accepted is decided by `checked.record` on whole columns; where it has a doubt about one row,
nothing of the lot is given, and the caller reads row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from everloop import keys
from everloop.rows import checked
from everloop.rows.reading import UNPROVEN, is_plain
from everloop.rows.values import Rows
from everloop.runtime.log import Record

MANY: Final = 16
"""Rows for which it pays, and rows that a record of columns has on the average where it still pays."""
_ONCE: Final = ("model", "source", "version", "digest", "arm", "epoch")
_OPTIONAL: Final = ("entity_id", "score", "label", "latency_ms", "status")

Row = Mapping[str, Any]


class Gathered(NamedTuple):
    """Rows with the same names, model, version and arm; `places` says which of the values each was."""

    rows: Rows
    places: list[int]

    def identities(self) -> list[str]:
        """What names each of its rows."""
        return list(map(checked.plain_identity(self.rows.model, "").__add__, self.rows.prediction_id))


def is_alone(record: Record) -> bool:
    """Whether this is one plain row, as far as headers tell."""
    return record.value is not None and (not record.headers or is_plain(dict(record.headers)))


def gather(values: Sequence[bytes]) -> list[Gathered] | None:
    """All rows of plain JSON objects; None where one of them is in doubt, or hardly two say the same things.

    The id of such a record names nothing: each row has its own, `checked.plain_identity`.
    """
    try:
        found = [orjson.loads(value) for value in values]
        if not keys.are_once(b"".join(values), sum(map(len, found)) + sum(len(row["features"]) for row in found)):
            return None
        alike = _alike(found)
        if len(alike) * MANY > len(found):
            return None
        return [Gathered(_rows([found[place] for place in places]), places) for places in alike]
    except UNPROVEN:
        return None


def _alike(found: Sequence[Row]) -> list[list[int]]:
    """Row numbers by what is said once in a record, and by names in their order."""
    alike: dict[tuple[object, ...], list[int]] = {}
    last: tuple[object, ...] = ()
    places: list[int] = []
    for place, row in enumerate(found):
        get = row.get
        key = (
            get("model"), get("version"), get("arm"), get("source"), get("digest"), get("epoch"),
            *row, None, *row["features"],
        )  # fmt: skip
        if key != last:  # to compare is cheaper than to hash
            last, places = key, alike.setdefault(key, [])
        places.append(place)
    return list(alike.values())


def _rows(alike: Sequence[Row]) -> Rows:
    said: dict[str, Any] = {**_columns(alike)}
    if not checked.PLAIN.issuperset(said):
        raise checked.DoubtError
    for name in _ONCE:
        if name in said:
            said[name] = _one(said[name])
    for name in _OPTIONAL:
        if name in said and said[name].count(None) == len(alike):
            del said[name]
    model, times = said.pop("model"), [*map(checked.ms_of, said.pop("time"))]
    if type(model) is not str or not model:
        raise checked.DoubtError
    return checked.record("", model, {**said, "times": times, "features": _features(said["features"])})


def _columns(alike: Iterable[Row]) -> dict[str, list[Any]]:
    """Rows have the same names in the same order."""
    columns = zip(*[row.values() for row in alike], strict=True)
    return dict(zip(next(iter(alike)), map(list, columns), strict=False))


def _features(rows: Sequence[Any]) -> dict[str, list[Any]]:
    if set(map(type, rows)) != {dict}:
        raise checked.DoubtError
    return _columns(rows)


def _one(column: Sequence[object]) -> object:
    """What all say. Equal is not the same: 1, 1.0 and True are equal."""
    if len(set(map(type, column))) != 1:
        raise checked.DoubtError
    return column[0]
