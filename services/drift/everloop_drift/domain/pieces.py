"""Rows on their way into a cell: parts of prediction records, joined where many small ones belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from everloop.buckets import buckets
from everloop.sketch.inputs import Prepared
from everloop.sketch.together import Share, Summed, add_together, count_together, either

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everloop.rows import Column, Rows
    from everloop.sketch import Inputs, Sums


@dataclass(slots=True)
class Piece:
    """Rows of one key, as columns; `features` is None for a shadow."""

    size: int
    features: Mapping[str, Column] | None
    score: Column | None
    entities: Sequence[str]
    status: Sequence[str] | None = None
    latency_ms: Column | None = None


@dataclass(slots=True)
class Packed:
    """The same as arrays: inputs and scores; hash buckets; errors and latency, where they were said."""

    inputs: Prepared
    buckets: NDArray[np.uint8]
    errors: NDArray[np.bool_] | None
    latency_ms: NDArray[np.float64] | None


def served(rows: Rows, index: Sequence[int] | None) -> Piece:
    """The rows that an arm has served; only those numbered in `index`, if given."""
    if index is None:
        return Piece(len(rows), rows.features, rows.score, rows.entities, rows.status, rows.latency_ms)
    places = np.asarray(index, np.intp)  # once for all columns
    return Piece(
        len(index), {name: _taken(column, places) for name, column in rows.features.items()}, _some(rows.score, places),
        [rows.entities[row] for row in index], rows.status and [rows.status[row] for row in index],
        _some(rows.latency_ms, places),
    )  # fmt: skip


def shadowed(rows: Rows, index: Sequence[int] | None) -> Piece:
    """What the shadow said on the same rows."""
    if index is None:
        return Piece(len(rows), None, rows.shadow_score, rows.entities)
    return Piece(
        len(index), None, _some(rows.shadow_score, np.asarray(index, np.intp)), [rows.entities[row] for row in index]
    )


def pack(piece: Piece, inputs: Inputs) -> Packed:
    """Turn raw values into arrays while they are still at hand: objects that wait cost more than numbers."""
    return Packed(
        inputs.prepare(piece.features, piece.score, piece.size),
        buckets(piece.entities),
        None if piece.status is None else np.array([one == "error" for one in piece.status]),
        None if piece.latency_ms is None else np.array(piece.latency_ms, dtype=np.float64),
    )


class Ready(NamedTuple):
    """Packs of one cell, one at least, and what they are counted in."""

    packs: Sequence[Packed]
    inputs: Inputs
    sums: Sums

    def together(self) -> tuple[Share, Summed]:
        """All packs as one."""
        packs, sizes = self.packs, [len(one.buckets) for one in self.packs]
        prepared = Prepared.joined([one.inputs for one in packs])
        return Share(self.inputs, prepared), Summed(
            self.sums,
            np.concatenate([one.buckets for one in packs]),
            prepared.block[-1],
            either([one.errors for one in packs], sizes, fill=False),
            either([one.latency_ms for one in packs], sizes, fill=np.nan),
        )


def count(ready: Sequence[Ready]) -> None:
    """Count the rows of several cells."""
    shares = [one.together() for one in ready]
    count_together([share for share, _ in shares])
    add_together([summed for _, summed in shares])


def joined(pieces: Sequence[Piece], names: frozenset[str], beside: Sequence[str] = ()) -> Sequence[Piece]:
    """Make one piece of many small ones whose columns are lists; some of them may lack those `beside`."""
    listed = [piece for piece in pieces if _is_listed(piece)]
    if len(listed) <= 1:
        return pieces
    return [*(piece for piece in pieces if not _is_listed(piece)), _join(listed, names, beside)]


def _join(pieces: Sequence[Piece], names: frozenset[str], beside: Sequence[str]) -> Piece:
    first = pieces[0].features
    features = None if first is None else {
        name: _chained(piece.features[name] for piece in pieces if piece.features is not None)
        for name in names if name in first
    } | _beside(pieces, beside)  # fmt: skip
    return Piece(
        sum(piece.size for piece in pieces),
        features,
        _optional([(piece.score, piece.size) for piece in pieces], None),
        _chained(piece.entities for piece in pieces),
        _optional([(piece.status, piece.size) for piece in pieces], "ok"),
        _optional([(piece.latency_ms, piece.size) for piece in pieces], None),
    )


def _beside(pieces: Sequence[Piece], names: Sequence[str]) -> dict[str, list[Any]]:
    """Columns that some of the pieces may lack: nothing stands in their place."""
    features = [(piece.features or {}, piece.size) for piece in pieces]
    return {
        name: _chained(columns[name] if name in columns else [None] * size for columns, size in features)
        for name in names
    }  # fmt: skip


def _optional(columns: Sequence[tuple[Any, int]], rest: object) -> list[Any] | None:
    """One column of many, of which some are not there; None where none is."""
    if all(column is None for column, _ in columns):
        return None
    return _chained([rest] * size if column is None else column for column, size in columns)


def _chained(columns: Iterable[Iterable[Any]]) -> list[Any]:
    return list(chain.from_iterable(columns))


def _is_listed(piece: Piece) -> bool:
    column = piece.score if not piece.features else next(iter(piece.features.values()))
    return type(column) is list or column is None


def _some(column: Column | None, places: NDArray[np.intp]) -> Column | None:
    return None if column is None else _taken(column, places)


def _taken(column: Column, places: NDArray[np.intp]) -> Column:
    return [column[row] for row in places.tolist()] if isinstance(column, list) else column.take(places)
