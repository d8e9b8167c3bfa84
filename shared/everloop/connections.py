"""Connections of an HTTP server that wait for their client: bounded in number, time and bytes.

uvicorn bounds how long a connection is idle between requests. A client that sends half a head, or a body a byte at a
time, it waits for without end, a head it takes at any length, and beyond its limit of connections it answers 503 to
whoever comes, while those that do nothing stay.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST: Final = 512
LARGEST_HEAD: Final = 65_536


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a head may take and then a body (s), how many bytes a head may have, and how many connections stay."""

    head_s: float = 10.0
    body_s: float = 30.0
    head_bytes: int = LARGEST_HEAD
    most: int = MOST


class Connection(HttpToolsProtocol):
    """One connection. Whoever keeps the server waiting is answered 408, a long head 431; both are hung up on.

    When there are too many, the one that has kept the server waiting longest goes, first of those that have never sent
    a whole request: a flood of silent connections locks nobody out.
    """

    def __init__(self, *args: Any, patience: Patience, **more: Any) -> None:  # noqa: ANN401 -- uvicorn's own
        """See `HttpToolsProtocol`."""
        super().__init__(*args, **more)
        self.patience: Final = patience
        self._late: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head = 0
        self._heard = 0
        self._since = 0.0

    @property
    def waits(self) -> bool:
        """Whether it is the client's turn."""
        return self._late is not None or not self._heard or self.cycle.response_complete

    @property
    def worth(self) -> tuple[bool, float]:
        """Whether it has ever sent a whole head, and since when it waits: the least is let go first."""
        return self._heard > 0, self._since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Wait for a head; make room."""
        super().connection_made(transport)
        self._wait(self.patience.head_s)
        if len(self.connections) >= self.patience.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; of a head that is not complete the bytes are counted."""
        super().data_received(data)
        self._head += len(data) if self._in_head else 0
        if self._head > self.patience.head_bytes:
            self._refuse("431 Request Header Fields Too Large", "headers", "too_large", "send a shorter head")

    def on_message_begin(self) -> None:
        """A head begins, of which at least one byte is there."""
        super().on_message_begin()
        self._in_head, self._head = True, 0
        self._wait(self.patience.head_s)

    def on_headers_complete(self) -> None:
        """The head is there; wait for the body."""
        self._in_head, self._head = False, 0
        self._heard += 1
        self._wait(self.patience.body_s)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All is there: it is the server's turn."""
        self._wait(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is the client's turn again; uvicorn's own timer runs."""
        self._since = self.loop.time()
        super().on_response_complete()

    def _wait(self, seconds: float | None) -> None:
        if self._late is not None:
            self._late.cancel()
        self._since = self.loop.time()
        self._late = None if seconds is None else self.loop.call_later(seconds, self._time_is_up)

    def _time_is_up(self) -> None:
        if self._in_head or self._heard:
            self._refuse("408 Request Timeout", "head" if self._in_head else "body", "timeout", "send it without pause")
        else:
            self.transport.close()

    def _refuse(self, status: str, where: str, rule: str, fix: str) -> None:
        """Answer without the app, which may not have begun; and hang up."""
        self._wait(None)
        self._in_head, self._head = False, 0
        if self.transport.is_closing():
            return
        body = orjson.dumps({"errors": [{"where": where, "rule": rule, "fix": fix}]})
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    def _make_room(self) -> None:
        others = [one for one in self.connections if one is not self and isinstance(one, Connection) and one.waits]
        if others:
            min(others, key=lambda one: one.worth).transport.abort()
