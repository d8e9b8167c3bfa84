"""Where the local stack keeps things: a cache per user, and one state directory per stack."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from everloop.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NEEDED_BYTES = 500 * 1024 * 1024
ELSEWHERE = "choose another place with --var DIR (state) or EVERLOOP_CACHE (jars)"


def cache_directory(environ: Mapping[str, str]) -> Path:
    """`EVERLOOP_CACHE`, or the platform's cache directory for this user."""
    if chosen := environ.get("EVERLOOP_CACHE"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "everloop"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "everloop"


def var_directory(environ: Mapping[str, str], chosen: Path | None = None) -> Path:
    """`--var`, or `EVERLOOP_VAR`, or `var` under the current directory; always absolute."""
    return Path(chosen or environ.get("EVERLOOP_VAR") or "var").expanduser().absolute()


@dataclass(frozen=True, slots=True)
class Var:
    """The state directory of one stack: which file is where."""

    root: Path

    @property
    def run(self) -> Path:
        """What a running stack says of itself: `stack.json`, the plan, the lock."""
        return self.root / "run"

    @property
    def state_file(self) -> Path:
        """Written by the supervisor, read by everybody."""
        return self.run / "stack.json"

    @property
    def plan_file(self) -> Path:
        """What the supervisor is to run."""
        return self.run / "plan.json"

    @property
    def lock_file(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.run / "stack.lock"

    @property
    def logs(self) -> Path:
        """One file per process."""
        return self.root / "log"

    @property
    def kafka(self) -> Path:
        """The broker's data and properties."""
        return self.root / "kafka"

    @property
    def mlflow(self) -> Path:
        """The registry's database and artifacts."""
        return self.root / "mlflow"

    @property
    def keys(self) -> Path:
        """The key pair that signs verdicts."""
        return self.root / "keys"

    def log(self, name: str) -> Path:
        """Log file of one process."""
        return self.logs / f"{name}.log"

    def log_names(self) -> Iterator[str]:
        """Names of all processes that have ever written a log here, in order."""
        return (path.stem for path in sorted(self.logs.glob("*.log")))

    def make(self) -> None:
        """Create the directories. Raises `UsageError` where that is not possible or the disk is nearly full."""
        try:
            for directory in (self.run, self.logs, self.kafka, self.mlflow, self.keys):
                directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(explain(error, self.root)) from error
        require_space(self.root)


def free_bytes(directory: Path) -> int:
    """Bytes free to this user on the disk of `directory` or of its nearest parent that exists."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    stat = os.statvfs(existing)
    return stat.f_bavail * stat.f_frsize


def require_space(directory: Path, needed: int = NEEDED_BYTES) -> None:
    """Raise `UsageError` where less than `needed` bytes are free."""
    if (free := free_bytes(directory)) < needed:
        message = (
            f"disk of {directory} has {free >> 20} MB free, {needed >> 20} MB are needed: "
            f"free some space, or {ELSEWHERE}"
        )
        raise UsageError(message)


def explain(error: OSError, path: Path) -> str:
    """One line that names the path, the rule and the fix."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"no space left on the disk of {path}: free {NEEDED_BYTES >> 20} MB, or {ELSEWHERE}"
    return f"cannot write {path} ({error.strerror}): {ELSEWHERE}"
