"""`everloop archive`: what is there, and the exit code that says whether it is whole."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from everloop import topics
from everloop.artifacts import path_of
from everloop.events import FilesMerged, ManifestCommitted
from tests.unit.cli.archives import archived, merged
from tests.unit.cli.turns import Stack, refusal
from tests.unit.ingest.builders import NOON_MS, said


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Three predictions and two labels of `fraud`, archived in a folder."""
    return archived(tmp_path)


def test_a_whole_archive(stack: Stack, tmp_path: Path) -> None:
    result = stack.run("archive", "verify", "--var", str(tmp_path))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith(" are whole\n")
    value = orjson.loads(stack.run("archive", "verify", "fraud", "--json", "--var", str(tmp_path)).stdout)
    assert (value["whole"], value["rows"], value["damages"]) == (True, 5, [])


def test_a_damaged_file_is_named_and_the_exit_code_is_1(stack: Stack, tmp_path: Path) -> None:
    manifest = said(stack.broker, topics.ARCHIVE, ManifestCommitted)[0]
    path_of(manifest.uri).unlink()
    sentence = refusal(stack.run("archive", "verify", "--var", str(tmp_path)), 1)
    for word in ("fraud", manifest.topic, manifest.uri, "missing", "restore the file"):
        assert word in sentence
    result = stack.run("archive", "verify", "--json", "--var", str(tmp_path))
    (damage,) = orjson.loads(result.stdout)["damages"]
    assert (result.exit_code, damage["rule"], damage["uri"]) == (1, "missing", manifest.uri)


def test_an_empty_archive_proves_nothing(stack: Stack, tmp_path: Path) -> None:
    assert "nothing is proven" in refusal(stack.run("archive", "verify", "other", "--var", str(tmp_path)), 1)


def test_what_is_there(stack: Stack) -> None:
    rows = orjson.loads(stack.run("archive", "list", "--json").stdout)
    assert [(one["model"], one["kind"], one["rows"]) for one in rows] == [
        ("fraud", "outcomes", 2), ("fraud", "predictions", 3),
    ]  # fmt: skip
    assert all(one["bytes"] > 0 and one["start"] == NOON_MS for one in rows)
    table = stack.run("archive", "list").stdout
    assert "2026-01-01 12:00:00" in table
    assert stack.run("archive", "list", "other").stdout == ""


def test_a_file_that_is_gone_is_restored_from_the_merged_one(stack: Stack, tmp_path: Path) -> None:
    store = merged(stack, tmp_path)
    merge = said(stack.broker, topics.ARCHIVE, FilesMerged)[0]
    digest = merge.replaces[0].sha256
    (uri,) = [one.uri for one in said(stack.broker, topics.ARCHIVE, ManifestCommitted) if one.sha256 == digest]
    store.remove(uri, "archive")
    assert stack.run("archive", "restore", digest, "--var", str(tmp_path)).stdout == f"{uri}\n"
    assert store.fetch(uri, digest)
    assert "no such artifact" in refusal(stack.run("archive", "restore", "0" * 64, "--var", str(tmp_path)), 1)
