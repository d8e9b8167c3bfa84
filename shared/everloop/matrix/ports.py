"""What makes a matrix of a snapshot, and what comes of it. The names of the columns on either side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from everloop.events import FileRef, Snapshot

Fetch = Callable[[FileRef], bytes]
"""Gives the bytes of a file and has verified its digest; `ArtifactStore.fetch` does both."""

FEATURE: Final = "f."
"""Before the name of a feature."""
PREDICTION: Final = {
    "prediction_id": "string", "time": "int64", "entity_id": "string", "source": "string", "version": "string",
    "arm": "string", "score": "double",
}  # fmt: skip
"""Columns of a predictions file and of a matrix, beside the features, with their types."""
OUTCOME: Final = {"prediction_id": "string", "label": "double", "labelled_at": "int64"}
"""Columns of an outcomes file that are read."""
LABEL: Final = ("label", "labelled_at")
"""The last columns of a matrix."""
WEIGHT: Final = "weight"
"""Behind them where the rows weigh differently."""
REQUIRED: Final = frozenset({"prediction_id", "time", "label", "labelled_at"})


@dataclass(frozen=True, slots=True)
class Matrix:
    """A Parquet file with the rows of a snapshot, and the digest of its content."""

    path: Path
    rows: int
    content: str


class MatrixBuilder(Protocol):
    """Makes the matrix of a snapshot; the rules are those of `LocalBuilder.build`, whatever the engine."""

    def build(self, snapshot: Snapshot, fetch: Fetch, path: Path) -> Matrix:
        """Write the matrix to `path`. Raises `InvalidError`: `malformed`, and whatever `fetch` raises."""
        ...
