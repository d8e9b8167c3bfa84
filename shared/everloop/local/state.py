"""What a running stack says of itself: `var/run/stack.json`, and a lock that its supervisor holds while it lives."""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from everloop.errors import UsageError
from everloop.local.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everloop.local.paths import Var

Phase = Literal["waiting", "starting", "ready", "done", "restarting", "exited", "failed", "stopped"]
FINE: frozenset[Phase] = frozenset({"ready", "done"})
TRIES = 3
LOCK_TRIES = 5
LOCK_PAUSE_SECONDS = 0.05


class ProcessState(BaseModel):
    """One process as the supervisor last saw it. `created` is its start (epoch seconds), against reused pids."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    phase: Phase = "waiting"
    waits_for: str = ""
    pid: int | None = None
    created: float | None = None
    port: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    started_at: datetime | None = None
    ready_at: datetime | None = None
    log: Path


class Stack(BaseModel):
    """The content of `stack.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Literal[1] = 1
    supervisor: int
    started_at: datetime
    state: Literal["starting", "running", "stopping", "stopped"] = "starting"
    var: Path
    broker: str
    urls: dict[str, str]
    ports: dict[str, int]
    tokens: Path | None = None
    processes: tuple[ProcessState, ...]

    def process(self, name: str) -> ProcessState:
        """Look one up. Raises `KeyError`."""
        return {process.name: process for process in self.processes}[name]


def all_fine(stack: Stack) -> bool:
    """Is every process ready, or done?"""
    return all(process.phase in FINE for process in stack.processes)


def culprit(stack: Stack) -> ProcessState | None:
    """The first process that will not come up: failed, or ended by itself, or started in vain too often."""
    return next((p for p in stack.processes if p.phase in {"failed", "exited"} or p.restarts >= TRIES), None)


def read_stack(var: Var) -> Stack | None:
    """What the last supervisor wrote, running or not; None when there is nothing readable."""
    try:
        return Stack.model_validate_json(var.state_file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def write_stack(var: Var, stack: Stack) -> None:
    """Replace `stack.json` in one step."""
    write_atomically(var.state_file, stack.model_dump_json(indent=2).encode())


def supervisor_pid(var: Var) -> int | None:
    """Process id of the supervisor that holds the lock; None when nothing runs here."""
    try:
        with var.lock_file.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return int(var.lock_file.read_text().strip() or 0)
    return None


def running(var: Var) -> Stack:
    """The stack that runs here. Raises `UsageError` when none does."""
    stack = read_stack(var)
    if supervisor_pid(var) is None or stack is None:
        raise UsageError(
            f"nothing is running in {var.root}: start it with `everloop up`, or name another with --var DIR"
        )
    return stack


@contextmanager
def hold_lock(var: Var, pid: int) -> Iterator[None]:
    """Hold the lock of this stack. Raises `UsageError` when another supervisor has it."""
    with var.lock_file.open("a+") as file:
        if not any(try_lock(file) for _ in range(LOCK_TRIES)):
            raise UsageError(already_running(var))
        file.truncate(0)
        file.write(str(pid))
        file.flush()
        yield


def try_lock(file: IO[str]) -> bool:
    """Try once. Whoever asks whether a stack runs holds the lock for a moment, so a refusal is worth a second try."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(LOCK_PAUSE_SECONDS)
        return False
    return True


def already_running(var: Var) -> str:
    """One line with the fix."""
    return f"a stack is already running in {var.root}: stop it with `everloop down`, or use another with --var DIR"
