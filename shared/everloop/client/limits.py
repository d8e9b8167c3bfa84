"""How much may wait, how long, and where."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one client in one process. Sizes in bytes, times in seconds.

    `queue_rows` and `queue_bytes` bound what callers have given and no batch holds yet; `queue_bytes` once more bounds
    the batches in memory. A batch goes out with `batch_rows` or about `batch_bytes`, or when its first row is
    `linger_s` old and nothing else is being sent. `spill_bytes` bounds the files of this process, in segments of
    `segment_bytes`. An answer may take `timeout_s`; `close` waits `close_s` at the most.
    """

    queue_rows: int = 50_000
    queue_bytes: int = 64 * MIB
    batch_rows: int = 2_000
    batch_bytes: int = MIB
    linger_s: float = 0.25
    timeout_s: float = 10.0
    spill_bytes: int = 256 * MIB
    segment_bytes: int = 4 * MIB
    close_s: float = 5.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for a bound that is not above zero, or a batch that the front door does not take."""
        for name in (field.name for field in fields(self)):
            if not getattr(self, name) > 0:
                raise ValueError(f"Limits.{name} is above zero: give a larger one")
        if self.batch_rows > MOST_ROWS:
            raise ValueError(f"Limits.batch_rows is at most {MOST_ROWS}, which is what the front door takes")


MOST_ROWS: Final = 10_000
