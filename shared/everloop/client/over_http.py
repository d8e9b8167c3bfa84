"""Batches to the front door, over one connection that stays open. Python's own HTTP client, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

import orjson
from pydantic import SecretStr

from everloop.client.batches import Batch, as_rows
from everloop.client.sending import Accepted, Answer, Later, Refused
from everloop.client.values import Kind
from everloop.tokens import Role, bearer

ROLES: Final[Mapping[Kind, Role]] = {"predictions": "ingest", "labels": "labels", "feedback": "labels"}
LARGEST_ANSWER: Final = 8 << 20
AGAIN: Final = frozenset({408, 425, 429})
"""Answers below 500 that say "not now"; any other of 400 to 499 is for ever."""
WHOLE: Final = frozenset({400, 413, 422})
"""Answers about a body as a whole, of which some rows may be good."""


class HttpTransport:
    """`POST /v1/predictions`, `/v1/labels` and `/v1/feedback`; the id of a batch is its `Idempotency-Key`."""

    def __init__(self, url: str, tokens: Mapping[Role, SecretStr], timeout_s: float) -> None:
        """Nothing is opened yet. `timeout_s` for a connection and for each step of an answer."""
        self._url: Final = urlsplit(url)
        self._tokens: Final = tokens
        self._timeout_s: Final = timeout_s
        self._open: HTTPConnection | None = None

    def send(self, batch: Batch) -> Answer:
        """Send as columns. Where they are refused as a whole, once more as rows, each of which is judged by itself."""
        body = b'{"model":' + orjson.dumps(batch.model) + b"," + batch.body[1:]
        status, answer, after_s = self._post(batch.kind, batch.id, body)
        if status in WHOLE and batch.rows > 1:
            status, answer, after_s = self._post(batch.kind, f"{batch.id}/rows", as_rows(batch))
        return _read(status, answer, after_s)

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _post(self, kind: Kind, key: str, body: bytes) -> tuple[int, bytes, float | None]:
        """Give status, body and `Retry-After`; the status 0 and the kind of trouble where there is no answer.

        A connection that has stayed open may have been closed by the other side, so a new one is tried at once.
        """
        stale = self._open is not None
        try:
            return self._ask(kind, key, body)
        except (OSError, HTTPException) as error:
            self.close()
            trouble = type(error).__name__
        if stale and trouble != TimeoutError.__name__:
            return self._post(kind, key, body)
        return 0, trouble.encode(), None

    def _ask(self, kind: Kind, key: str, body: bytes) -> tuple[int, bytes, float | None]:
        if self._open is None:
            self._open = self._connection()
        token = bearer(self._tokens.get(ROLES[kind]))
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, **token}
        self._open.request("POST", f"{self._url.path.rstrip('/')}/v1/{kind}", body, headers)
        answer = self._open.getresponse()
        data = answer.read(LARGEST_ANSWER)
        if not answer.isclosed():
            self.close()  # more than we read
        return answer.status, data, _retry_after(answer)

    def _connection(self) -> HTTPConnection:
        kind = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        return kind(self._url.hostname or "", self._url.port, timeout=self._timeout_s)


def _read(status: int, data: bytes, after_s: float | None) -> Answer:
    if status == 202:  # noqa: PLR2004 -- accepted
        return _accepted(data)
    if not status:
        return Later(f"the front door does not answer: {data.decode()}")
    if status in AGAIN or status >= 500:  # noqa: PLR2004 -- the other side's trouble
        return Later(f"the front door answers {status}", after_s)
    return Refused(f"the front door answers {status} {_rule(data)}".strip())


def _accepted(data: bytes) -> Accepted:
    """An answer that cannot be read is a 202 all the same."""
    try:
        found = orjson.loads(data)
        refused = int(found["refused"])
        rules = [item["errors"][0]["rule"] for item in found["items"] if item["status"] != 202] if refused else []  # noqa: PLR2004
    except (ValueError, TypeError, KeyError, IndexError):
        return Accepted()
    return Accepted(refused, f"the front door says {rules[0]}" if rules else "")


def _rule(data: bytes) -> str:
    """Give the rule of the first problem: a name of the front door's, and no value."""
    try:
        return str(orjson.loads(data)["errors"][0]["rule"])[:64]
    except (ValueError, TypeError, KeyError, IndexError):
        return ""


def _retry_after(answer: HTTPResponse) -> float | None:
    text = answer.getheader("Retry-After", "")
    return float(text) if text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004 -- of digits
