"""The worker under test: `python -m everloop_drift windows`, as the supervisor starts it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.children import Child, child
from benchmarks.drift.records import PLACES
from everloop.errors import FatalError
from everloop.runtime.kafka_log import KafkaLog
from everloop_drift.adapters.state import read_states

GROUP: Final = "everloop.drift.windows"


@contextmanager
def worker(address: str, scratch: Path, replica: str = "0") -> Iterator[Child]:
    """One replica, running."""
    told = {"EVERLOOP_BROKER": address, "EVERLOOP_VAR": str(scratch / "var"), "EVERLOOP_REPLICA": replica}
    with child("everloop_drift", ["windows"], scratch / f"windows-{replica}.log", told) as process:
        yield process


def require_counted(address: str, rows: int) -> None:
    """Raise `FatalError` unless the published books have exactly so many rows as counted."""
    states = read_states(KafkaLog(address, client_id="bench-books"), PLACES)
    counted = sum(state.accounts().counted for state in states.values())
    if counted != rows:
        raise FatalError(f"the books have {counted} rows as counted, {rows} were sent")
