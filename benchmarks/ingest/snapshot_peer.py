"""The peer of `ingest.snapshot`: `python -m benchmarks.ingest.snapshot_peer FOLDER ROWS AS_OF TO`.

pandas reads all, filters, sorts, drops duplicates, merges, and writes the newest rows with the digest of the file.
"""

from __future__ import annotations

import sys
from hashlib import file_digest
from pathlib import Path

import orjson
import pandas as pd

from benchmarks.ingest.spent import spent
from everloop.artifacts import path_of


def main(folder: str, rows: str, as_of: str, to: str) -> None:
    """Do it."""
    manifests = [orjson.loads(line) for line in Path(folder, "manifests").read_text().splitlines()]
    predictions = _read([path_of(one["uri"]) for one in manifests if one["kind"] == "predictions"])
    labels = ["prediction_id", "label", "labelled_at"]
    outcomes = _read([path_of(one["uri"]) for one in manifests if one["kind"] == "outcomes"], labels)
    predictions = predictions[predictions["time"] <= int(as_of)].drop_duplicates("prediction_id")
    outcomes = outcomes[outcomes["labelled_at"] <= int(as_of)].sort_values("labelled_at", kind="stable")
    outcomes = outcomes.drop_duplicates("prediction_id", keep="last")
    joined = predictions.merge(outcomes, on="prediction_id")
    joined.sort_values(["time", "prediction_id"]).tail(int(rows)).to_parquet(to, compression="zstd", index=False)
    with Path(to).open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    sys.stdout.write(orjson.dumps(spent(rows=int(rows), digest=digest)).decode())


def _read(paths: list[Path], columns: list[str] | None = None) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path, columns=columns) for path in paths], ignore_index=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
