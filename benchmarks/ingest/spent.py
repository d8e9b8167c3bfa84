"""What this process took until now."""

from __future__ import annotations

import resource
import sys
from typing import Final

MIB: Final = 1 << 20
KIB: Final = 1 << 10
RSS_UNIT: Final = 1 if sys.platform == "darwin" else KIB
"""Bytes of what the system says of memory: Linux tells it in KiB."""


def spent(**also: str | float) -> dict[str, str | float]:
    """Seconds of CPU and MiB of memory at the most, imports among them; and `also`."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu_s": used.ru_utime + used.ru_stime, "rss_mb": used.ru_maxrss * RSS_UNIT / MIB, **also}
