"""`drift.json`, `drift.json_1000`, `drift.arrow`, `drift.single`: rows off Kafka to published state, and a peer."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from benchmarks.broker import broker, load, progress
from benchmarks.bus.compared import Side, compared, in_turn
from benchmarks.children import Usage, child
from benchmarks.drift.records import PLACES, Form, Load
from benchmarks.drift.windows import GROUP, require_counted, worker
from benchmarks.drift.world import introduced, names
from benchmarks.figures import Measured, Say, Size
from benchmarks.repeats import repeats

LIMIT_S: Final = 300.0
WARM: Final = 5
"""One part in so many is warm-up; of a little nothing is, since commits come seconds apart."""
PEER_GROUP: Final = "bench.peer"


@dataclass(frozen=True, slots=True)
class Carried:
    """`rows` in one record; `total` rows in the log, of which the peer, a module here, reads `peer_total`."""

    form: Form
    rows: int
    total: int
    peer: str
    peer_total: int
    quick: int = 10

    def __call__(self, size: Size, say: Say) -> Measured:
        """Rows per CPU-second, ours and the peer's."""

        def once(number: int) -> Mapping[Side, Usage]:
            log = self.log(self.total // size.of(1, self.quick))
            with tempfile.TemporaryDirectory() as scratch, broker(Path(scratch, "kafka")) as address:
                load(address, chain(introduced(names(log.models)), log.messages()))
                return in_turn(number, lambda side: self._run(side, address, Path(scratch), log, size))

        return compared(repeats(size.of(3, 1), once, say), "rows")

    def log(self, total: int) -> Load:
        """So many rows in equal records."""
        return Load(self.form, self.rows, total // self.rows // len(PLACES))

    def _run(self, side: Side, address: str, scratch: Path, log: Load, size: Size) -> Usage:
        if side == "ours":
            return run(address, scratch, log, size)
        total = log.total * self.peer_total // self.total
        with (
            progress(address, PEER_GROUP, PLACES, log.counted) as done,
            child(f"benchmarks.drift.{self.peer}", [address, PEER_GROUP], scratch / "peer.log") as process,
        ):
            return process.work(done, warm=size.of(total // WARM, 0), total=total, limit_s=LIMIT_S)


def run(address: str, scratch: Path, log: Load, size: Size) -> Usage:
    """One worker until all is committed; what its books say is held against what was sent."""
    with progress(address, GROUP, PLACES, log.counted) as done, worker(address, scratch) as process:
        found = process.work(done, warm=size.of(log.total // WARM, 0), total=log.total, limit_s=LIMIT_S)
    require_counted(address, log.total)
    return found
