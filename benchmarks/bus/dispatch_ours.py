"""The process under test of `bus.dispatch`: `python -m benchmarks.bus.dispatch_ours ADDRESS ROOM DIRECTORY`."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.bus.counting import CountingFold
from everloop.logs import configure
from everloop.runtime.faust_carrier import FaustCarrier, run


def main(address: str, room: str, directory: str) -> None:
    """Carry the room as the data services are carried, until a signal."""
    configure(room, "0")
    run([FaustCarrier(CountingFold(room), address, replica="0", data=Path(directory))])


if __name__ == "__main__":
    main(*sys.argv[1:])
