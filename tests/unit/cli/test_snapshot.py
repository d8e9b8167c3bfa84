"""`everloop snapshot`: the same id gives the same bytes again; a model's as of a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from everloop import topics
from everloop.artifacts import path_of
from everloop.events import FilesMerged, ManifestCommitted
from tests.unit.cli.archives import archived, merged
from tests.unit.cli.turns import Stack, a_start, a_version, refusal
from tests.unit.ingest.builders import said


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Three predictions and two labels of `fraud`, archived in a folder."""
    return archived(tmp_path)


def exported(stack: Stack, tmp_path: Path, *words: str) -> dict[str, object]:
    result = stack.run("snapshot", "export", *words, "--json", "--var", str(tmp_path))
    assert result.exit_code == 0, result.output
    found: dict[str, object] = orjson.loads(result.stdout)
    return found


def trained(stack: Stack, tmp_path: Path) -> dict[str, object]:
    """Say that version 1 learned from what there is now."""
    value = orjson.loads(stack.run("snapshot", "show", "fraud", "--json", "--var", str(tmp_path)).stdout)
    started = a_start("1", None, a_time())
    spec = started.spec.model_copy(update={"snapshot": type(started.spec.snapshot).model_validate(value["snapshot"])})
    started = started.model_copy(update={"spec": spec})
    content = exported(stack, tmp_path, "fraud", "--out", str(tmp_path / "first"))["content"]
    created = a_version(started, a_time())
    known = created.snapshot.model_copy(update={"content": content})
    stack.say(topics.TRAINING, started, created.model_copy(update={"snapshot": known}))
    return dict(value["snapshot"])


def a_time() -> datetime:
    return datetime(2026, 1, 7, tzinfo=UTC)


def test_the_same_id_gives_the_same_bytes(stack: Stack, tmp_path: Path) -> None:
    identity = str(trained(stack, tmp_path)["id"])
    again = exported(stack, tmp_path, identity[:12], "--out", str(tmp_path / "again"))
    assert (again["id"], again["rows"]) == (identity, 2)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "first").read_bytes()
    assert pq.read_table(tmp_path / "again")["prediction_id"].to_pylist() == ["a", "b"]
    shown = stack.run("snapshot", "show", identity, "--var", str(tmp_path)).stdout
    assert identity in shown
    assert "versions  1" in shown


def test_the_same_id_gives_the_same_bytes_after_compaction(stack: Stack, tmp_path: Path) -> None:
    identity = str(trained(stack, tmp_path)["id"])
    store = merged(stack, tmp_path)
    replaced = {part.sha256 for one in said(stack.broker, topics.ARCHIVE, FilesMerged) for part in one.replaces}
    gone = [one for one in said(stack.broker, topics.ARCHIVE, ManifestCommitted) if one.sha256 in replaced]
    assert gone
    for one in gone:
        store.remove(one.uri, "archive")
    assert exported(stack, tmp_path, identity, "--out", str(tmp_path / "after"))["id"] == identity
    assert (tmp_path / "after").read_bytes() == (tmp_path / "first").read_bytes()


def test_labels_of_later_are_not_known_before(stack: Stack, tmp_path: Path) -> None:
    before = exported(stack, tmp_path, "fraud", "--as-of", "2026-01-01T00:00:00Z", "--out", str(tmp_path / "m"))
    assert before["rows"] == 0


def test_a_damaged_file_gives_no_rows_and_leaves_none(stack: Stack, tmp_path: Path) -> None:
    snapshot = trained(stack, tmp_path)
    file = path_of(snapshot["outcomes"][0]["uri"])  # type: ignore[index]  # JSON
    file.chmod(0o600)
    file.write_bytes(b"PAR1")
    result = stack.run("snapshot", "export", str(snapshot["id"]), "--out", str(tmp_path / "m"), "--var", str(tmp_path))
    assert "damaged or swapped" in refusal(result, 1)
    assert not list(tmp_path.glob("*m*"))


def test_what_is_not_there_is_told(stack: Stack, tmp_path: Path) -> None:
    def told(*words: str) -> str:
        return refusal(stack.run("snapshot", *words, "--var", str(tmp_path)), 2)

    assert "neither a snapshot of the log nor a model; ids are in `everloop why`; models are fraud" in told("show", "x")
    assert "write it as 2026-01-05T12:00:00Z" in told("show", "fraud", "--as-of", "yesterday")
    assert "is asked of a model" in told("show", "x", "--as-of", "2026-01-05T12:00:00Z")
    (tmp_path / "there").touch()
    assert "there already" in told("export", "fraud", "--out", str(tmp_path / "there"))
