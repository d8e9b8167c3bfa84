"""The first champion scores in a child process, from bytes that have the digest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from everloop.artifacts import FolderStore
from everloop.errors import FatalError, InvalidError
from everloop.events import FileRef
from everloop.models import ModelManifest, dump, pipeline
from everloop.models.manifest import frame
from everloop.replay.frozen import frozen_scores, score

COLUMNS: dict[str, tuple[float | str | None, ...]] = {"a": (0.0, 1.0, None, 3.0), "b": ("x", "y", "x", None)}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[FileRef, FolderStore]:
    features = {"a": "numeric", "b": "categorical"}
    manifest = ModelManifest.model_validate({"features": features, "task": "binary", "classes": ("0", "1")})
    fitted = pipeline(LogisticRegression(), manifest.features)
    fitted.fit(frame({name: list(values) for name, values in COLUMNS.items()}, manifest.features), [0, 1, 0, 1])
    store = FolderStore(tmp_path_factory.mktemp("models"))
    artifact = store.put(dump(fitted, manifest), "model")
    return FileRef(uri=artifact.uri, sha256=artifact.sha256), store


def test_the_child_says_what_the_model_says(kept: tuple[FileRef, FolderStore]) -> None:
    artifact, store = kept
    expected = score(Path(artifact.uri.removeprefix("file://")), artifact.sha256, COLUMNS)
    assert len(expected) == 4
    assert np.std(expected) > 0
    assert frozen_scores(artifact, store, COLUMNS) == expected


def test_other_bytes_are_not_loaded(kept: tuple[FileRef, FolderStore]) -> None:
    artifact, store = kept
    with pytest.raises(InvalidError, match="damaged or swapped"):
        frozen_scores(artifact.model_copy(update={"sha256": "0" * 64}), store, COLUMNS)


def test_a_model_that_is_none_gives_no_score(kept: tuple[FileRef, FolderStore]) -> None:
    _, store = kept
    other = store.put(b"no model", "model")
    with pytest.raises(FatalError, match="the first champion could not score the rows"):
        frozen_scores(FileRef(uri=other.uri, sha256=other.sha256), store, COLUMNS)
