"""The matrix on one machine, larger than memory if it has to be: DuckDB reads the verified files and spills to disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from everloop.errors import FatalError, InvalidError
from everloop.events import Snapshot
from everloop.matrix.choosing import choose, quoted
from everloop.matrix.ports import FEATURE, LABEL, OUTCOME, PREDICTION, WEIGHT, Fetch, Matrix
from everloop.matrix.staging import Staged, stage
from everloop.matrix.writing import write

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LEAST_MB: Final = 512
MOST_MB: Final = 2_048
ROWS_PER_MB: Final = 40_000
"""What DuckDB may hold grows with the rows of all files: what is more goes to disk, but groups of many rows cannot be
counted in little memory. A sort of few rows needs as much once more for the result.
"""
BATCH_ROWS: Final = 8_192
SQL_TYPES: Final = {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE"}
ROWS: Final = """
SELECT {columns} FROM read_parquet($files, union_by_name = true) AS p
JOIN chosen ON (p.file_index::BIGINT << 32) + p.file_row_number = place
ORDER BY time, prediction_id
"""


@dataclass(frozen=True, slots=True)
class LocalBuilder:
    """Builds here. `scratch` takes copies of the files and what does not fit into `memory_mb`.

    None is where the system keeps what is temporary, and as much memory as so many rows need (`memory_for`).
    """

    scratch: Path | None = None
    memory_mb: int | None = None

    def build(self, snapshot: Snapshot, fetch: Fetch, path: Path) -> Matrix:
        """Write the labelled rows with `start <= time < end`, by (time, prediction_id), to a Parquet file.

        Of a prediction that stands twice the first in file order counts. Of labels the last `labelled_at` counts, of
        two at once the last in file order; with `as_of` only those with `labelled_at <= as_of` are known, and only
        predictions from before it. Of those that `where` and `golden` leave the newest `rows`, or with a `tail` all of
        the newest and a sample of the others, each with its weight: the number of rows that it stands for.

        Columns: `PREDICTION`, the features that have a value in order of name, `LABEL`, with a tail `WEIGHT`.

        Raises `InvalidError`: `malformed` for a file that is no such Parquet file, and whatever `fetch` raises.
        `FatalError`: the disk is full.
        """
        with tempfile.TemporaryDirectory(dir=self.scratch, prefix="matrix-") as folder:
            predictions = stage(snapshot.predictions, fetch, Path(folder, "predictions"), PREDICTION)
            outcomes = stage(snapshot.outcomes, fetch, Path(folder, "outcomes"), OUTCOME)
            memory_mb = self.memory_mb or memory_for(predictions.rows + outcomes.rows)
            with _database(Path(folder), memory_mb) as database:
                choose(database, snapshot, predictions, outcomes)
                last = LABEL if snapshot.tail is None else (*LABEL, WEIGHT)
                return write(_read(database, predictions, last), path)


def memory_for(rows: int) -> int:
    """What DuckDB may hold (MiB) for so many rows of all files."""
    return min(MOST_MB, max(LEAST_MB, rows // ROWS_PER_MB))


@contextmanager
def _database(folder: Path, memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine that reads nothing but this folder, and never the network."""
    import duckdb  # noqa: PLC0415 - costs a tenth of a second; only who builds pays

    connection = duckdb.connect(config={
        "memory_limit": f"{memory_mb}MiB", "temp_directory": str(folder / "spilled"),
        "threads": 1,  # each holds buffers of its own
        "autoload_known_extensions": False, "preserve_insertion_order": False,
    })  # fmt: skip
    connection.execute(f"SET allowed_directories = ['{str(folder).replace(chr(39), chr(39) * 2)}']")
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    try:
        yield connection
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        message = f"the rows do not fit: {memory_mb} MiB of memory and the disk under {folder.parent} are full"
        raise FatalError(message) from error
    except duckdb.Error as error:
        raise InvalidError("malformed", "a file of the archive holds what no column of its type can") from error
    finally:
        connection.close()


def _read(database: duckdb.DuckDBPyConnection, predictions: Staged, last: Iterable[str]) -> pa.RecordBatchReader:
    """The rows in their order; what a file does not have is missing. `last` are columns of what was chosen."""
    known = predictions.names
    plain = [_column(name, known.get(name), kind) for name, kind in PREDICTION.items()]
    features = [_column(name, known[name]) for name in sorted(known) if name.startswith(FEATURE)]
    query = ROWS.format(columns=", ".join([*plain, *features, *last]))
    return database.sql(query, params={"files": predictions.texts}).to_arrow_reader(BATCH_ROWS)


def _column(name: str, found: str | None, kind: str | None = None) -> str:
    value = "NULL" if found is None else f"p.{quoted(found)}"
    return f"{value if kind is None else f'CAST({value} AS {SQL_TYPES[kind]})'} AS {quoted(name)}"
