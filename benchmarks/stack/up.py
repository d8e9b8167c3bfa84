"""`stack.up`: from `everloop up` to all ready, against `mlflow server` alone, the largest program in the stack."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.figures import Measured, Say, Size
from benchmarks.repeats import repeats
from everloop.errors import FatalError
from everloop.local.groups import end_group
from everloop.local.logs import tail
from everloop.local.mlflow_server import QUIET, server_command
from everloop.local.paths import Var
from everloop.local.ports import free_ports
from everloop.local.properties import LOOPBACK
from everloop.local.ready import is_ready
from everloop.local.state import read_stack

EVERLOOP: Final = str(Path(sys.executable).with_name("everloop"))
LIMIT_S: Final = 180.0
LOOK_EVERY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Started:
    """Seconds of a first start, of a second one in the same directory, of MLflow alone; who was ready last."""

    first: float
    again: float
    last: str
    mlflow: float


def measure(size: Size, say: Say) -> Measured:
    """Seconds until everything is ready, ours and MLflow's."""

    def once(_: int) -> Started:
        with tempfile.TemporaryDirectory() as scratch:
            var = Path(scratch, "var")
            with up(var) as first:
                last = _ready_last(var)
            with up(var) as again:
                pass
            return Started(first, again, last, _mlflow(Path(scratch, "mlflow")))

    runs = repeats(size.of(3, 1), once, say)
    return Measured(
        ours=tuple(one.first for one in runs),
        peer=tuple(one.mlflow for one in runs),
        also={
            "s, second start": median(one.again for one in runs),
            "ready last:": Counter(one.last for one in runs).most_common(1)[0][0],
        },
    )


@contextmanager
def up(var: Path) -> Iterator[float]:
    """A stack as a person starts it, and the seconds that it took; stopped at the end."""
    began = time.monotonic()
    try:
        _run([EVERLOOP, "up", "--var", str(var), "--ports", "auto", "--timeout", str(LIMIT_S)])
        yield time.monotonic() - began
    finally:
        subprocess.run([EVERLOOP, "down", "--var", str(var)], capture_output=True, check=False)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FatalError(f"{' '.join(command[:2])} ended with {done.returncode}:\n{done.stderr.strip()}")


def _ready_last(var: Path) -> str:
    stack = read_stack(Var(var))
    ready = [(process.ready_at, process.name) for process in stack.processes if process.ready_at] if stack else []
    return max(ready)[1] if ready else "nobody"


def _mlflow(folder: Path) -> float:
    """A fresh database, one worker, no artifacts: the server that `everloop up` starts, by itself."""
    folder.mkdir()
    port, log = free_ports(1)[0], folder / "log"
    began = time.monotonic()
    with log.open("wb") as out:
        server = subprocess.Popen(
            server_command(folder, port), env={**os.environ, **QUIET}, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        while not is_ready(f"http://{LOOPBACK}:{port}/health"):
            if server.poll() is not None or time.monotonic() - began > LIMIT_S:
                raise FatalError("\n".join(["mlflow server did not start; the end of its log:", *tail(log, 15)]))
            time.sleep(LOOK_EVERY_S)
        return time.monotonic() - began
    finally:
        end_group(server.pid)
        server.wait()
