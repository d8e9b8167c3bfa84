"""Python's collector of cyclic garbage, for processes whose rows and requests are no cycles."""

from __future__ import annotations

import gc


def spare_the_collector() -> None:
    """Let cyclic garbage wait. To be called once all is loaded, which is then not walked over any more.

    By its defaults the collector walks over all rows that wait, again and again: half of the time of single rows off
    Kafka, and a fifth of a request to the front door.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
