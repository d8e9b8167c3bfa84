"""One line for an ASGI app, such as FastAPI's: `app.add_middleware(EverloopMiddleware, client=client)`.

Requests and answers pass through as they are, at once; copies of their bodies are read later, in the client's thread.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final

import orjson

from everloop.client.client import Client
from everloop.client.reading import Read, read_common
from everloop.client.values import Prediction

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
MOST_BYTES: Final = 1 << 20
JSON: Final = b"application/json"
_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,100}")
logger = logging.getLogger("everloop.client")


class EverloopMiddleware:
    """Logs each `POST` whose request and answer are JSON that `read` understands, and whose answer is a 2xx.

    The answer gets the header `id_header` (None: none is added) with the id of the request: that of the app or of the
    request where they have one, else a new one. It is the prediction id of a single row without one of its own; many
    rows get `ID.0`, `ID.1` and so on. Bodies beyond `most_bytes`, compressed ones and streams of other kinds are not
    looked at. Nothing in here can fail a request.
    """

    def __init__(
        self,
        app: App,
        *,
        client: Client,
        read: Read = read_common,
        paths: Collection[str] | None = None,
        id_header: str | None = "x-prediction-id",
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """`paths` are those that are looked at; all without. `read` gives what to log of a request and its answer."""
        self.app: Final = app
        self.client: Final = client
        self.read: Final = read
        self.paths: Final = None if paths is None else frozenset(paths)
        self.id_header: Final = None if id_header is None else id_header.lower().encode("ascii")
        self.most_bytes: Final = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] == "lifespan":
            self.client.start()  # in the process that serves
        heard = _Exchange(self, scope, receive, send) if self._is_heard(scope) else None
        if heard is None:
            await self.app(scope, receive, send)
        else:
            await self.app(scope, heard.receive, heard.send)

    def _is_heard(self, scope: Scope) -> bool:
        """Whether it can be a question to a model."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return False
        if self.paths is not None and scope["path"] not in self.paths:
            return False
        return _is_json(scope["headers"])


class _Exchange:
    """One request and its answer, while they pass."""

    def __init__(self, middleware: EverloopMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        self._middleware: Final = middleware
        self._receive: Final = receive
        self._send: Final = send
        self._began: Final = time.perf_counter()
        self._asked: bytearray | None = bytearray()
        self._told: bytearray | None = None
        self._id = self._shown(scope["headers"]) or secrets.token_hex(12).encode()

    async def receive(self) -> Message:
        """Hand on a part of the request, and keep it."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._asked = self._longer(self._asked, message)
        return message

    async def send(self, message: Message) -> None:
        """Hand on a part of the answer, and keep it; after the last one both are logged."""
        if message["type"] == "http.response.start":
            self._begin(message)
        await self._send(message)
        if message["type"] == "http.response.body":
            self._told = self._longer(self._told, message)
            if not message.get("more_body", False):
                self._log()

    def _begin(self, message: Message) -> None:
        headers = list(message.get("headers", ()))
        self._id = self._shown(headers) or self._id
        if 200 <= message["status"] < 300 and _is_json(headers):  # noqa: PLR2004 -- an answer
            self._told = bytearray()
        name = self._middleware.id_header
        if name is not None and all(key.lower() != name for key, _ in headers):
            message["headers"] = [*headers, (name, self._id)]

    def _shown(self, headers: Collection[tuple[bytes, bytes]]) -> bytes | None:
        """Give the id that a message has in its head, if it is one."""
        name = self._middleware.id_header
        return next((text for key, text in headers if key.lower() == name and _ID.fullmatch(text)), None)

    def _longer(self, kept: bytearray | None, message: Message) -> bytearray | None:
        """Add a part; None as soon as it is too much."""
        part = message.get("body", b"")
        if kept is None or len(kept) + len(part) > self._middleware.most_bytes:
            return None
        kept += part
        return kept

    def _log(self) -> None:
        if not self._asked or not self._told:
            return  # too long, no JSON, or a request that the app did not read
        asked, told, identity = bytes(self._asked), bytes(self._told), self._id.decode()
        latency_ms = (time.perf_counter() - self._began) * 1000
        read = self._middleware.read

        def reading() -> Prediction | None:
            found = read(orjson.loads(asked), orjson.loads(told))
            missing = found is not None and found.latency_ms is None
            return found._replace(latency_ms=latency_ms) if found is not None and missing else found

        try:
            self._middleware.client.log_later(len(asked) + len(told), reading, lambda rows: _ids(identity, rows))
        except Exception:  # the answer is out: whatever it was, the server goes on
            logger.exception("a request was not logged")


def _ids(identity: str, rows: int) -> list[str]:
    return [identity] if rows == 1 else [f"{identity}.{place}" for place in range(rows)]


def _is_json(headers: Collection[tuple[bytes, bytes]]) -> bool:
    found = {name.lower(): text for name, text in headers}
    kind = found.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return kind == JSON and b"content-encoding" not in found
