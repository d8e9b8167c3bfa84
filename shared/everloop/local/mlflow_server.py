"""The MLflow server of a local stack: `python -m everloop.local.mlflow_server DIRECTORY PORT`.

Brings the schema up to date in one process before the server starts (two that create it at once race), then becomes
the server. MLflow is only run, never imported: what carries rows and requests must not depend on it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from everloop.local.files import write_atomically
from everloop.local.paths import cache_directory
from everloop.local.properties import LOOPBACK

Run = Callable[[list[str]], int]
"""Runs a command to its end, and gives its exit code."""
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def store_uri(directory: Path) -> str:
    """SQLAlchemy's address of the database."""
    return f"sqlite:///{directory / 'mlflow.db'}"


def migrate_command(directory: Path) -> list[str]:
    """Create the tables, or bring them up to date."""
    return [sys.executable, "-m", "mlflow", "db", "upgrade", store_uri(directory)]


def server_command(directory: Path, port: int) -> list[str]:
    """One worker on loopback; artifacts beside the database."""
    return [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", LOOPBACK, "--port", str(port)),
        *("--backend-store-uri", store_uri(directory), "--artifacts-destination", str(directory / "artifacts")),
    ]


def is_current(directory: Path) -> bool:
    """Say whether this version of MLflow has brought the schema up to date; asking MLflow takes five seconds."""
    mark = directory / "schema-version"
    return (directory / "mlflow.db").exists() and mark.exists() and mark.read_text("ascii") == version("mlflow")


def migrate(
    directory: Path, cache: Path, run: Run = lambda command: subprocess.run(command, check=False).returncode
) -> int:
    """Migrate unless it was done; return MLflow's exit code.

    To create the tables takes fifteen seconds of CPU and hundreds of commits to the disk, and what comes of it is the
    same for one version of MLflow: the empty database is kept in the `cache`, and the next new one is a copy.
    """
    if is_current(directory):
        return 0
    store, empty = directory / "mlflow.db", cache / f"mlflow-{version('mlflow')}.db"
    is_new = not store.exists()
    if is_new and empty.exists():
        write_atomically(store, empty.read_bytes())
    elif code := run(migrate_command(directory)):
        return code
    elif is_new:
        with suppress(OSError):  # a cache that cannot be written is none
            cache.mkdir(parents=True, exist_ok=True)
            write_atomically(empty, store.read_bytes())
    write_atomically(directory / "schema-version", version("mlflow").encode("ascii"))
    return 0


def main(arguments: list[str]) -> int:
    """Migrate, then be replaced by the server; returns only when that fails."""
    directory, port = Path(arguments[0]), int(arguments[1])
    directory.mkdir(parents=True, exist_ok=True)
    os.environ.update(QUIET)
    if code := migrate(directory, cache_directory(os.environ)):
        return code
    command = server_command(directory, port)
    return os.execv(command[0], command)  # noqa: S606 - a literal command; the same process goes on, so signals reach it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
