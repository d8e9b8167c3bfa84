"""The process under test of `ingest.snapshot`: `python -m benchmarks.ingest.snapshot_ours FOLDER ROWS AS_OF TO`.

From the manifests in FOLDER to the matrix TO, as a training job makes it; says what it took as JSON.
"""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from benchmarks.ingest.archived import EVERY_MS, MODEL
from benchmarks.ingest.spent import spent
from everloop.artifacts import FolderStore
from everloop.events import ManifestCommitted
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.matrix import LocalBuilder
from everloop.matrix.asking import Question


def main(folder: str, rows: str, as_of: str, to: str) -> None:
    """Plan as the trainer does, then build."""
    manifests = [
        ManifestCommitted.model_validate_json(line) for line in Path(folder, "manifests").read_text().splitlines()
    ]
    loop = Loop.model_validate({
        "kind": "Loop", "version": 1, "model": MODEL, "task": "binary",
        "columns": {"id": "prediction_id", "time": "time", "label": "label"},
        "windows": {"every": f"{EVERY_MS // 1000}s"}, "train": {"data": {"rolling_rows": int(rows)}},
    })  # fmt: skip
    question = Question(loop, Facts(manifests=tuple(manifests)), int(as_of))
    store, builder = FolderStore(Path(folder)), LocalBuilder(Path(to).parent)
    snapshot, matrix = question.ask(builder, lambda file: store.fetch(file.uri, file.sha256), Path(to))
    files = len(snapshot.predictions) + len(snapshot.outcomes)
    sys.stdout.write(orjson.dumps(spent(rows=matrix.rows, content=matrix.content, files=files)).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
