"""`ingest.snapshot`: the training matrix of the newest rows of an archive, against pandas doing the same."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.bus.compared import Side, in_turn
from benchmarks.figures import Measured, Say, Size
from benchmarks.ingest.archived import ROWS_PER_FILE, known_until, written
from benchmarks.repeats import repeats
from everloop.artifacts import FolderStore
from everloop.errors import FatalError
from everloop.matrix import Content

ARCHIVED: Final = 5_000_000
NEWEST: Final = 500_000
Spent = dict[str, float]


def measure(size: Size, say: Say) -> Measured:
    """Seconds of CPU, ours and the peer's, each in a process of its own, that end in the same rows."""
    archived, rows = size.of(ARCHIVED, 4 * ROWS_PER_FILE), size.of(NEWEST, ROWS_PER_FILE // 2)
    with tempfile.TemporaryDirectory() as folder:
        say(f"{archived} rows are archived")
        archive(Path(folder), archived)
        runs = repeats(size.of(3, 1), lambda n: in_turn(n, lambda side: run(side, Path(folder), archived, rows)), say)
        _require_same(Path(folder), str(runs[-1]["ours"]["content"]), rows)
    ours, peer = [run["ours"] for run in runs], [run["peer"] for run in runs]
    memory = max(one["rss_mb"] for one in ours), min(one["rss_mb"] for one in peer)
    return Measured(
        ours=tuple(one["cpu_s"] for one in ours),
        peer=tuple(one["cpu_s"] for one in peer),
        also={
            "peak RSS MiB": memory[0], "the peer's": memory[1], "times less memory": memory[1] / memory[0],
            "files read": median(one["files"] for one in ours),
        },
    )  # fmt: skip


def archive(folder: Path, rows: int) -> None:
    """Write an archive of so many rows, and its manifests as lines of JSON."""
    with (folder / "manifests").open("w") as out:
        out.writelines(f"{one.model_dump_json()}\n" for one in written(FolderStore(folder), rows))


def run(side: Side, folder: Path, archived: int, rows: int) -> Spent:
    """Let a side make its matrix, `<folder>/<side>.parquet`; what it says it took."""
    (folder / f"{side}.parquet").unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.ingest.snapshot_{side}", str(folder), str(rows),
         str(known_until(archived)), str(folder / f"{side}.parquet")],
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise FatalError(f"benchmarks.ingest.snapshot_{side} failed:\n{done.stderr.decode()[-2000:]}")
    found: Spent = orjson.loads(done.stdout)
    return found


def _require_same(folder: Path, content: str, rows: int) -> None:
    for side in ("ours", "peer"):
        table = pq.read_table(folder / f"{side}.parquet")
        plain = pa.schema(
            [(one.name, pa.string() if pa.types.is_large_string(one.type) else one.type) for one in table.schema]
        )
        found = Content()
        found.add(table.cast(plain))
        if (found.rows, found.hexdigest()) != (rows, content):
            raise FatalError(f"the matrix of {side} holds other rows than ours says")
