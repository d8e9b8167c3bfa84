"""Keep-alive clients: `python -m benchmarks.ingest.load PORT ROWS CONNECTIONS NUMBER COUNTS`, until it is ended.

Each connection has one request under way. Only the answer 202 counts; any other ends the process. Raw sockets: a client
library would cost more than what it is to measure.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Final, cast

import numpy as np
import uvloop

from benchmarks.ingest.requests import numbered, templates

OURS: Final = 10_000_000_000
"""Numbers of requests that one process may use up."""
END_OF_HEAD: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length:"
Counts = np.ndarray[tuple[int], np.dtype[np.uint64]]


def counts(path: Path, processes: int) -> Counts:
    """Answers of each process, seen by all."""
    return np.memmap(path, np.uint64, "r+" if path.exists() else "w+", shape=(processes,))


class Client(asyncio.Protocol):
    """One connection: sends, reads the whole answer, sends the next."""

    def __init__(self, requests: Iterator[bytes], ended: asyncio.Future[None], seen: Counts) -> None:
        """`seen` is counted up in its only cell."""
        self.requests: Final = requests
        self.ended: Final = ended
        self.seen: Final = seen
        self.came = b""
        self.transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one, and does not say so
        self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        """A part of an answer, or all of it."""
        self.came += data
        head, found, body = self.came.partition(END_OF_HEAD)
        if not found:
            return
        at = head.lower().index(LENGTH) + len(LENGTH)
        if len(body) < int(head[at:].partition(b"\r")[0]):
            return
        if not self.came.startswith(b"HTTP/1.1 202"):
            self._end(f"answered {self.came[:600]!r}")
            return
        self.came = b""
        self.seen[0] += 1
        self.transport.write(next(self.requests))

    def connection_lost(self, exc: Exception | None) -> None:
        """The server has hung up."""
        self._end(f"the connection was lost: {exc}")

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(RuntimeError(why))


async def run(port: int, rows: int, connections: int, number: int, seen: Counts) -> None:
    """Send until something is wrong."""
    ready = cycle(templates(rows))
    requests = (numbered(next(ready), each) for each in range(number * OURS, (number + 1) * OURS))
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(requests, ended, seen), "127.0.0.1", port)
    await ended


if __name__ == "__main__":
    port_, rows_, connections_, number_ = map(int, sys.argv[1:5])
    seen_ = counts(Path(sys.argv[5]), number_ + 1)[number_:]
    uvloop.run(run(port_, rows_, connections_, number_, seen_))
