"""The MLflow server of a local stack: `python -m everloop.local.mlflow_server DIRECTORY PORT`.

Brings the schema up to date in one process before the server starts (two that create it at once race), then becomes
the server. MLflow is only run, never imported: what carries rows and requests must not depend on it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from everloop.local.files import write_atomically
from everloop.local.properties import LOOPBACK

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


def migrate(directory: Path) -> int:
    """Migrate unless it was done; return MLflow's exit code."""
    if is_current(directory):
        return 0
    code = subprocess.run(migrate_command(directory), check=False).returncode
    if code == 0:
        write_atomically(directory / "schema-version", version("mlflow").encode("ascii"))
    return code


def main(arguments: list[str]) -> int:
    """Migrate, then be replaced by the server; returns only when that fails."""
    directory, port = Path(arguments[0]), int(arguments[1])
    directory.mkdir(parents=True, exist_ok=True)
    os.environ.update(QUIET)
    if code := migrate(directory):
        return code
    command = server_command(directory, port)
    return os.execv(command[0], command)  # noqa: S606 - a literal command; the same process goes on, so signals reach it


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
