"""The database of MLflow is created once for each of its versions; the next new one is a copy."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import pytest

from everloop.local.mlflow_server import is_current, migrate, migrate_command

EMPTY = b"a database without a run"


@dataclass
class Mlflow:
    """Writes what `mlflow db upgrade` would, or fails."""

    store: Path
    code: int = 0
    asked: list[list[str]] = field(default_factory=list)

    def __call__(self, command: list[str]) -> int:
        self.asked.append(command)
        if not self.code and not self.store.exists():
            self.store.write_bytes(EMPTY)
        return self.code


def a_stack(folder: Path, name: str) -> tuple[Path, Mlflow]:
    directory = folder / name
    directory.mkdir()
    return directory, Mlflow(directory / "mlflow.db")


def test_the_first_creates_it_and_the_next_copies_it(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (first, created), (second, asked) = a_stack(tmp_path, "first"), a_stack(tmp_path, "second")
    assert migrate(first, cache, created) == migrate(second, cache, asked) == 0
    assert created.asked == [migrate_command(first)]
    assert asked.asked == []
    assert (second / "mlflow.db").read_bytes() == EMPTY
    assert is_current(first)
    assert is_current(second)


def test_one_that_is_there_is_brought_up_to_date_and_never_kept_for_others(tmp_path: Path) -> None:
    cache, (directory, mlflow) = tmp_path / "cache", a_stack(tmp_path, "old")
    (directory / "mlflow.db").write_bytes(b"runs of an older version")
    assert migrate(directory, cache, mlflow) == 0
    assert mlflow.asked == [migrate_command(directory)]
    assert (directory / "mlflow.db").read_bytes() == b"runs of an older version"
    assert not cache.exists()


def test_of_another_version_of_mlflow_nothing_is_copied(tmp_path: Path) -> None:
    cache, (directory, mlflow) = tmp_path / "cache", a_stack(tmp_path, "new")
    cache.mkdir()
    (cache / "mlflow-0.0.1.db").write_bytes(b"of another version")
    assert migrate(directory, cache, mlflow) == 0
    assert mlflow.asked == [migrate_command(directory)]
    assert (cache / f"mlflow-{version('mlflow')}.db").read_bytes() == EMPTY


def test_what_has_been_done_is_not_done_again(tmp_path: Path) -> None:
    cache, (directory, mlflow) = tmp_path / "cache", a_stack(tmp_path, "again")
    assert migrate(directory, cache, mlflow) == migrate(directory, cache, mlflow) == 0
    assert len(mlflow.asked) == 1


def test_a_failure_is_its_exit_code_and_leaves_nothing_behind(tmp_path: Path) -> None:
    cache, (directory, mlflow) = tmp_path / "cache", a_stack(tmp_path, "failing")
    mlflow.code = 3
    assert migrate(directory, cache, mlflow) == 3
    assert not is_current(directory)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    cache, (directory, mlflow) = tmp_path / "cache", a_stack(tmp_path, "any")
    cache.write_text("a file where the folder should be")
    assert migrate(directory, cache, mlflow) == 0
    assert is_current(directory)


@pytest.mark.parametrize("name", ["mlflow.db", "schema-version"])
def test_it_is_current_only_with_both_files(tmp_path: Path, name: str) -> None:
    directory, mlflow = a_stack(tmp_path, "half")
    assert migrate(directory, tmp_path / "cache", mlflow) == 0
    (directory / name).unlink()
    assert not is_current(directory)
