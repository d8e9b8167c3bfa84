"""One file of the archive against what is said of it: rows, columns, and which of event time it covers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from everloop.archive.keeping import File
from everloop.errors import InvalidError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

NEEDED: Final = {
    "predictions": ("prediction_id", "time", "source"),
    "outcomes": ("prediction_id", "time", "label", "labelled_at"),
    "feedback": ("prediction_id", "time", "name", "value", "said_at"),
}
HISTORY: Final = "bootstrap"


def schema_of(data: bytes) -> dict[str, str]:
    """Type by name of each column of a Parquet file. Raises `InvalidError`: `malformed`."""
    return _columns(_opened(data))


def wrong_with(data: bytes, said: File) -> Iterator[tuple[str, str]]:
    """Rule and finding of whatever differs. Raises `InvalidError` for what is no Parquet file."""
    file = _opened(data)
    columns, rows = _columns(file), file.metadata.num_rows
    if lacking := [name for name in NEEDED[said.kind] if name not in columns]:
        yield "schema", f"the file lacks the columns {', '.join(lacking)}"
        return
    if said.columns is not None and columns != said.columns:
        yield "schema", f"the file has other columns than the manifest says: {_differing(columns, said.columns)}"
    if rows != said.rows:
        yield "rows", f"the file has {rows} rows, the manifest says {said.rows}"
    yield from _misplaced(file, said)


def _misplaced(file: pq.ParquetFile, said: File) -> Iterator[tuple[str, str]]:
    """Rows per slice, and those of a bootstrap, counted from the file. Slices are named by where they begin."""
    import pyarrow.compute as pc  # noqa: PLC0415 - as in `_opened`

    wanted = file.read(columns=["time", *(["source"] if "source" in file.schema_arrow.names else [])])
    starts = np.array([part.start for part in said.coverage], dtype=np.int64)
    times = wanted["time"].to_numpy()
    slices = np.searchsorted(starts, times, side="right") - 1
    counted = np.bincount(slices[slices >= 0], minlength=len(starts))
    for part, rows in zip(said.coverage, counted.tolist(), strict=True):
        if part.rows != rows:
            yield "coverage", f"the slice from {part.start} ms has {rows} rows, the manifest says {part.rows}"
            return
    if before := int((slices < 0).sum()):
        yield "coverage", f"{before} rows are older than every slice that the manifest names"
    history = pc.sum(pc.equal(wanted["source"], HISTORY)).as_py() or 0 if "source" in wanted.column_names else 0
    if history != said.history_rows:
        yield "history_rows", f"the file has {history} rows of a bootstrap, the manifest says {said.history_rows}"


def _opened(data: bytes) -> pq.ParquetFile:
    import pyarrow as pa  # noqa: PLC0415 - costs half a second; only who reads files pays
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    try:
        return pq.ParquetFile(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise InvalidError("malformed", "the file is not Parquet") from error


def _columns(file: pq.ParquetFile) -> dict[str, str]:
    return {field.name: str(field.type) for field in file.schema_arrow}


def _differing(found: Mapping[str, str], said: Mapping[str, str]) -> str:
    names = sorted(name for name in {*found, *said} if found.get(name) != said.get(name))
    return ", ".join(f"{name} ({found.get(name, 'absent')}, not {said.get(name, 'absent')})" for name in names)
