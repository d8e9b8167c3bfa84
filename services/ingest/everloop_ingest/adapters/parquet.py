"""Bytes of an archive file. The only importer of pyarrow here; the same rows give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from everloop.archive.writing import written
from everloop.listed import Texts
from everloop.rows.values import Categories, listed
from everloop_ingest.domain.archiving import FEATURE, Piece, Pieces, Same
from everloop_ingest.domain.joined import joined

_NUMBERS: Final = {
    "time": pa.int64(), "labelled_at": pa.int64(), "score": pa.float64(), "label": pa.float64(),
    "said_at": pa.int64(), "value": pa.float64(),
}  # fmt: skip
Array = Any
"""An array of pyarrow, which has no types of its own."""


def to_parquet(columns: Mapping[str, Pieces]) -> bytes:
    """Write one row group, compressed with zstd, in the order of the columns."""
    return written(pa.table(arrays_of(columns)))


def merged(files: Iterable[bytes]) -> bytes:
    """Put the rows of files with the same columns into one file, in their order; the same files give the same bytes."""
    return written(pa.concat_tables([pq.read_table(pa.BufferReader(data)) for data in files]).combine_chunks())


def arrays_of(columns: Mapping[str, Pieces]) -> dict[str, Array]:
    """The columns as arrays. A feature is of doubles, or of texts as soon as one value is a text."""
    return {
        name: _feature(pieces) if name.startswith(FEATURE) else _plain(pieces, _NUMBERS.get(name, pa.string()))
        for name, pieces in columns.items()
    }


def _plain(pieces: Pieces, kind: pa.DataType) -> Array:
    return pa.concat_arrays([_said(piece, kind) for piece in joined(pieces, lists=True)])


def _said(piece: Piece, kind: pa.DataType) -> Array:
    if isinstance(piece, Same):
        return pa.repeat(pa.scalar(piece.value, kind), piece.rows)
    if isinstance(piece, Texts):
        return _texts(piece)
    if isinstance(piece, np.ndarray) and piece.dtype == np.int64 and kind == pa.int64():
        return pa.array(piece, kind)
    if isinstance(piece, np.ndarray):
        return pa.array(piece.astype(np.float64, copy=False), kind, from_pandas=True)
    return pa.array(piece, kind)


def _texts(piece: Texts) -> Array:
    return pa.StringArray.from_buffers(len(piece), pa.py_buffer(piece.offsets), pa.py_buffer(piece.data))


def _feature(pieces: Pieces) -> Array:
    """Truth values are 1 and 0; what is no number and no text is missing."""
    whole = joined(pieces)
    arrays = [array for array in map(_at_once, whole) if array is not None]
    kinds = {array.type for array in arrays} - {pa.null()}
    if len(arrays) < len(whole) or len(kinds) > 1:
        return _cell_by_cell(pieces)
    kind = next(iter(kinds), pa.float64())
    return pa.concat_arrays([array.cast(kind) for array in arrays])


def _at_once(piece: Piece) -> Array | None:
    """The array of a piece, of doubles, texts or nothing; None where its cells have to be looked at one by one."""
    if isinstance(piece, Same):
        return pa.nulls(piece.rows)
    if isinstance(piece, Texts):
        return _texts(piece)
    if isinstance(piece, Categories):
        return pa.array(piece.texts, pa.string()).take(pa.array(piece.codes, mask=piece.codes < 0))
    if isinstance(piece, np.ndarray):
        return pa.array(piece.astype(np.float64, copy=False), from_pandas=True)
    return _of_cells(piece)


def _of_cells(piece: Sequence[Any]) -> Array | None:
    try:
        array = pa.array(piece)
    except (pa.ArrowException, OverflowError):
        return None
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return array.cast(pa.float64(), safe=False)
    return array if kind in {pa.null(), pa.float64(), pa.string()} else None


def _cell_by_cell(pieces: Pieces) -> Array:
    cells = [None if isinstance(cell, list | dict) else cell for piece in pieces for cell in _cells(piece)]
    if any(isinstance(cell, str) for cell in cells):
        return pa.array([None if cell is None else str(cell) for cell in cells], pa.string())
    return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())


def _cells(piece: Piece) -> Sequence[Any]:
    if isinstance(piece, Same):
        return [piece.value] * piece.rows
    return listed(piece) if isinstance(piece, list | np.ndarray | Categories) else piece
