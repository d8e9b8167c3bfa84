"""Long work outside the decider: a port, child processes, and a fake that runs at once.

A job is a kind, a specification (JSON bytes) and a deadline. A child is called as `COMMAND... SPEC RESULT`; it writes
RESULT atomically as its last act (`run_child` does that for it). The result file is the judge, not the exit status: a
library may abort while the interpreter ends, after the work was done.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import orjson
from pydantic import JsonValue

from everloop.artifacts import write_atomically
from everloop.errors import EverloopError

Result = Mapping[str, JsonValue]
Work = Callable[[bytes], Result]

KEPT_FOLDERS: Final = 20
"""Folders of ended jobs that stay for a reader of their logs; older ones are removed."""
LARGEST_RESULT: Final = 1 << 26
PARENT_EVERY_S: Final = 1.0
SCRATCH: Final = "scratch"
"""Folder of what a child holds on disk while it runs, in its own; it goes when the child has ended."""
_KEY: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")
_INHERITED: Final = (
    "PATH", "PYTHONPATH", "VIRTUAL_ENV", "HOME", "LANG", "LC_ALL", "TZ",
    "OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE",  # the last bits of sums depend on the kernels chosen
)  # fmt: skip
QUIET: Final[Mapping[str, str]] = {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONUNBUFFERED": "1"}
"""No library may call home from a child."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a job ended: its result, or one sentence why there is none."""

    key: str
    ok: bool
    result: dict[str, JsonValue] = field(default_factory=dict)
    error: str = ""


class Jobs(Protocol):
    """What the runtime needs. `key` names one attempt; starting a running key again changes nothing."""

    def start(self, key: str, kind: str, spec: bytes, timeout_s: float) -> None:
        """Begin the work; its end comes out of `finished`. `timeout_s` in wall seconds."""

    def finished(self) -> list[Finished]:
        """Hand out what has ended since the last call, each end once. Never waits."""

    def kill(self, key: str) -> None:
        """End a job without a result; an unknown key is none."""

    def close(self) -> None:
        """End all jobs."""


class InlineJobs:
    """The fake: `start` runs the function of the kind at once, the next `finished` hands out its end."""

    def __init__(self, functions: Mapping[str, Work]) -> None:
        self._functions: Final = functions
        self._ended: dict[str, Finished] = {}

    def start(self, key: str, kind: str, spec: bytes, timeout_s: float) -> None:  # noqa: ARG002 - nothing here takes time
        """Run to the end."""
        if key not in self._ended:
            self._ended[key] = finish(key, self._functions[kind], spec)

    def finished(self) -> list[Finished]:
        """Hand out the ends in the order of their starts."""
        ended, self._ended = list(self._ended.values()), {}
        return ended

    def kill(self, key: str) -> None:
        """Forget the end."""
        self._ended.pop(key, None)

    def close(self) -> None:
        """Forget all ends."""
        self._ended.clear()


@dataclass(frozen=True, slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    folder: Path
    timeout_s: float
    deadline: float

    @property
    def result(self) -> Path:
        return self.folder / "result.json"


class ChildJobs:
    """One child process per job, in a session of its own, so that its whole group can be ended.

    `commands` maps a kind to a command; `workdir` gets a folder per job (specification, result, `log`); `environment`
    is added to the few inherited variables, and a `TMPDIR` that goes with the child; nothing else of the parent's
    environment reaches it.
    """

    def __init__(
        self, commands: Mapping[str, Sequence[str]], workdir: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self._commands: Final = commands
        self._workdir: Final = workdir.resolve()
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self._environment: Final = {**inherited, **QUIET, **(environment or {})}
        self._children: dict[str, _Child] = {}

    def start(self, key: str, kind: str, spec: bytes, timeout_s: float) -> None:
        """Start the child. Raises `ValueError` for a key that is no file name, `KeyError` for an unknown kind."""
        if key in self._children:
            return
        if not _KEY.fullmatch(key):
            raise ValueError("the key of a job is 1 to 128 letters, digits, dots, dashes or underscores")
        folder = self._fresh_folder(key)
        (folder / "spec.json").write_bytes(spec)
        command = [*self._commands[kind], str(folder / "spec.json"), str(folder / "result.json")]
        environment = {**self._environment, "TMPDIR": str(folder / SCRATCH)}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self._children[key] = _Child(process, folder, timeout_s, time.monotonic() + timeout_s)

    def finished(self) -> list[Finished]:
        """Look at each child once."""
        return [end for key in list(self._children) if (end := self._look(key)) is not None]

    def kill(self, key: str) -> None:
        """End the child and all that it has started."""
        child = self._children.pop(key, None)
        if child is not None:
            _end_group(child.process)
            shutil.rmtree(child.folder / SCRATCH, ignore_errors=True)

    def close(self) -> None:
        """End all children."""
        for key in list(self._children):
            self.kill(key)

    def _look(self, key: str) -> Finished | None:
        child = self._children[key]
        ended = child.process.poll() is not None  # asked first: what a dead child wrote is there
        if child.result.exists():
            self.kill(key)
            return _read_result(key, child)
        if ended:
            self.kill(key)
            return Finished(key, ok=False, error=f"the job ended with status {child.process.returncode} and no result")
        if time.monotonic() >= child.deadline:
            self.kill(key)
            return Finished(key, ok=False, error=f"the job took longer than {child.timeout_s:g} s and was stopped")
        return None

    def _fresh_folder(self, key: str) -> Path:
        self._workdir.mkdir(mode=0o700, parents=True, exist_ok=True)
        busy = {child.folder for child in self._children.values()}
        ended = sorted((path for path in self._workdir.iterdir() if path not in busy), key=lambda p: p.stat().st_mtime)
        for old in ended[: max(0, len(ended) - KEPT_FOLDERS + 1)]:
            shutil.rmtree(old, ignore_errors=True)
        for old in ended:
            shutil.rmtree(old / SCRATCH, ignore_errors=True)  # of a child whose parent was killed
        folder = self._workdir / key
        shutil.rmtree(folder, ignore_errors=True)
        (folder / SCRATCH).mkdir(mode=0o700, parents=True)
        return folder


def run_child(work: Work, arguments: Sequence[str]) -> int:
    """Be the child: read SPEC, do the work, write RESULT. The exit status; where it failed goes to the log."""
    spec, result = Path(arguments[0]), Path(arguments[1])
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    end = finish("", work, spec.read_bytes())
    write_atomically(result, orjson.dumps({"ok": end.ok, "result": end.result, "error": end.error}))
    return 0 if end.ok else 1


def finish(key: str, work: Work, spec: bytes) -> Finished:
    """Do the work. Our own errors speak for themselves; of others only the kind is told, their text may quote rows."""
    try:
        return Finished(key, ok=True, result=dict(work(spec)))
    except EverloopError as error:
        return Finished(key, ok=False, error=str(error))
    except Exception as error:  # noqa: BLE001 - a recipe is anybody's code
        write_frames(error)
        return Finished(key, ok=False, error=f"the job failed with {type(error).__name__}; its log says where")


def write_frames(error: BaseException) -> None:
    """Say on standard error where it failed: frames and the kind. No text of the error, which may quote rows."""
    frames = traceback.extract_tb(error.__traceback__)
    sys.stderr.writelines(f"{frame.filename}:{frame.lineno} {frame.name}\n" for frame in frames)
    sys.stderr.write(f"{type(error).__name__}\n")


def _end_with_parent(parent: int) -> None:
    """A child whose parent was killed is of no use: nobody reads its result."""
    while os.getppid() == parent:
        time.sleep(PARENT_EVERY_S)
    os._exit(1)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """The session's leader is the child, so its id is the group's; strays of an ended child go, too."""
    with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read_result(key: str, child: _Child) -> Finished:
    try:
        if child.result.stat().st_size > LARGEST_RESULT:
            return Finished(key, ok=False, error=f"the job's result is larger than {LARGEST_RESULT} bytes")
        said = orjson.loads(child.result.read_bytes())
        return Finished(key, ok=bool(said["ok"]), result=dict(said["result"]), error=str(said["error"]))
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return Finished(key, ok=False, error="the job's result cannot be read")
