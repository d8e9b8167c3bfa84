"""Files of the archive side by side in a folder: verified, and of one type per column, so that one query reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from everloop.errors import InvalidError
from everloop.events import FileRef
from everloop.matrix.ports import REQUIRED, Fetch

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class Staged(NamedTuple):
    """Paths in the order of the files; how a column is called there and of which type it is, by its name; all rows."""

    paths: tuple[Path, ...]
    names: Mapping[str, str]
    kinds: Mapping[str, str]
    rows: int

    @property
    def texts(self) -> list[str]:
        """The paths as texts."""
        return [str(path) for path in self.paths]


def stage(files: Sequence[FileRef], fetch: Fetch, folder: Path, needed: Mapping[str, str]) -> Staged:
    """Bring files here. `needed`: columns that each must have if they are required, by name, with their type.

    A column that is a number in one file and a text in another is text in all. Names that differ in nothing but case,
    which a query takes for one, get others. Raises `InvalidError`: `malformed`, and whatever `fetch` raises.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - costs half a second; only who reads rows pays

    folder.mkdir()
    paths = [folder / f"{number:06}.parquet" for number in range(max(1, len(files)))]
    if not files:
        pq.write_table(_nothing(needed), paths[0])
    for file, path in zip(files, paths, strict=False):
        path.write_bytes(fetch(file))
    metadata = [_metadata(path) for path in paths]
    schemas = [_schema(one, needed) for one in metadata]
    kinds, names = _kinds(schemas), _names(schemas)
    for path, schema in zip(paths, schemas, strict=True):
        if any(field.type != kinds[field.name] or field.name != names[field.name] for field in schema):
            pq.write_table(_aligned(pq.read_table(path), kinds, names), path)
    rows = sum(one.num_rows for one in metadata)
    return Staged(tuple(paths), names, {name: str(kind) for name, kind in kinds.items()}, rows)


def _nothing(needed: Mapping[str, str]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415 - as above

    return pa.table({name: pa.array([], type=pa.type_for_alias(kind)) for name, kind in needed.items()})


def _metadata(path: Path) -> pq.FileMetaData:
    import pyarrow as pa  # noqa: PLC0415 - as above
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    try:
        return pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidError("malformed", "a file of the archive is not Parquet; was it written by ingest?") from error


def _schema(metadata: pq.FileMetaData, needed: Iterable[str]) -> pa.Schema:
    schema = metadata.schema.to_arrow_schema()
    missing = [name for name in needed if name in REQUIRED and name not in schema.names]
    if missing:
        raise InvalidError("malformed", f"a file of the archive lacks the columns {', '.join(missing)}")
    return schema


def _kinds(schemas: Sequence[pa.Schema]) -> dict[str, pa.DataType]:
    """One type per column: text where it was a number in one file and a text in another, double where it has none."""
    import pyarrow as pa  # noqa: PLC0415 - as above

    kinds: dict[str, pa.DataType] = {}
    for field in (field for schema in schemas for field in schema):
        known = kinds.setdefault(field.name, field.type)
        if pa.types.is_null(known):
            kinds[field.name] = field.type
        elif not pa.types.is_null(field.type) and field.type != known:
            kinds[field.name] = pa.string()
    return {name: pa.float64() if pa.types.is_null(kind) else kind for name, kind in kinds.items()}


def _names(schemas: Sequence[pa.Schema]) -> dict[str, str]:
    """Each name as it is, but for those that are the same without their case."""
    known = list(dict.fromkeys(name for schema in schemas for name in schema.names))
    alike = Counter(name.casefold() for name in known)
    return {name: name if alike[name.casefold()] == 1 else f"{place}:{name}" for place, name in enumerate(known)}


def _aligned(table: pa.Table, kinds: Mapping[str, pa.DataType], names: Mapping[str, str]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415 - as above

    columns = {names[name]: table.column(name).cast(kinds[name]) for name in table.column_names}
    return pa.table(columns)
