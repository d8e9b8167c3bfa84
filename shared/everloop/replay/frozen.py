"""What the first champion would have said of every row: scored in a child process, which can do nothing else.

`python -m everloop.replay.frozen FILE SHA256` reads columns as JSON on standard input and writes a list of scores.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import orjson

from everloop.artifacts import ArtifactStore, FolderStore
from everloop.errors import FatalError
from everloop.events import FileRef
from everloop.models.archive import LARGEST
from everloop.models.files import load
from everloop.models.probe import ProbeRequest, confine

TIMEOUT_S: Final = 300
BATCH: Final = 10_000
_THREADS: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
Columns = Mapping[str, Sequence[float | str | None]]


def frozen_scores(artifact: FileRef, store: ArtifactStore, columns: Columns) -> list[float]:
    """One score per row. Raises `FatalError` where the child gives none, and what reading the artifact raises."""
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    try:
        with tempfile.NamedTemporaryFile() as model:
            model.write(store.fetch(artifact.uri, artifact.sha256))
            model.flush()
            done = subprocess.run(
                [sys.executable, "-P", "-m", __name__, model.name, artifact.sha256],
                input=orjson.dumps(dict(columns)), capture_output=True, timeout=TIMEOUT_S, check=True,
                env={**environment, **_THREADS},
            )  # fmt: skip
        return [float(score) for score in orjson.loads(done.stdout)]
    except (subprocess.SubprocessError, orjson.JSONDecodeError) as error:
        raise FatalError(f"the first champion could not score the rows: {type(error).__name__}") from error


def score(path: Path, digest: str, columns: Mapping[str, Sequence[object]]) -> list[float]:
    """Verify, load, and score batch by batch."""
    whole = path.resolve()
    scorer = load(FolderStore(whole.parent, largest=LARGEST).fetch(whole.as_uri(), digest))
    rows = max(map(len, columns.values()), default=0)
    parts = (
        scorer.score({name: values[start : start + BATCH] for name, values in columns.items()})
        for start in range(0, rows, BATCH)
    )
    return [float(one) for part in parts for one in part]


def main() -> None:
    """Run as the child."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    columns = orjson.loads(sys.stdin.buffer.read())
    confine(ProbeRequest(columns={}, cpu=TIMEOUT_S))
    answer.write(orjson.dumps(score(Path(sys.argv[1]), sys.argv[2], columns)))
    answer.close()


if __name__ == "__main__":
    main()
