"""`ingest.sdk`: what `log_predictions` costs its caller while the front door is there, slow, or gone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

import orjson

from benchmarks.children import child
from benchmarks.figures import Measured, Say, Size
from everloop.errors import FatalError
from everloop.local.ports import free_ports, is_free

SLOW_S: Final = 1.0
"""A slow door answers after so long."""
PACED_S: Final = 60
PAIRS: Final = 8
DOORS: Final[dict[str, float | None]] = {"up": 0.0, "slow": SLOW_S, "gone": None}
LIMIT_S: Final = 600
Found = dict[str, float]


def measure(size: Size, say: Say) -> Measured:
    """Give the worst p99 of the three, in ms; beside it that of each, memory, and what of the host's rate was lost."""
    found: dict[str, Found] = {}
    for state, wait_s in DOORS.items():
        say(state)
        found[state] = _run(wait_s, size.of(PACED_S, 2), size.of(PAIRS, 1))
    worst = max(one["p99_ms"] for one in found.values())
    return Measured(
        ours=(worst,), also={name: value for state, one in found.items() for name, value in _told(state, one)}
    )


def _told(state: str, found: Found) -> Iterator[tuple[str, float]]:
    yield f"{state}: ms at p99", found["p99_ms"]
    yield f"{state}: % of the rate lost", found["lost_percent"]
    yield f"{state}: MiB grown", found["grown_mb"]


def _run(wait_s: float | None, paced_s: int, pairs: int) -> Found:
    with tempfile.TemporaryDirectory() as scratch:
        (port,) = free_ports(1)
        with _door(port, wait_s, Path(scratch)) if wait_s is not None else nullcontext():
            host = [sys.executable, "-m", "benchmarks.ingest.host", f"http://127.0.0.1:{port}"]
            done = subprocess.run(
                [*host, f"{scratch}/spill", str(paced_s), str(pairs)],
                capture_output=True, text=True, check=False, timeout=LIMIT_S,
            )  # fmt: skip
    if done.returncode:
        raise FatalError(f"the host ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found: Found = orjson.loads(done.stdout)
    if found["dropped"] or found["refused"]:
        raise FatalError(f"{found['dropped']:.0f} rows were dropped, {found['refused']:.0f} refused")
    return found


@contextmanager
def _door(port: int, wait_s: float, scratch: Path) -> Iterator[None]:
    with child("benchmarks.ingest.door", [str(port), str(wait_s)], scratch / "door.log") as process:
        while is_free(port):
            process.require_alive()
            time.sleep(0.05)
        yield
