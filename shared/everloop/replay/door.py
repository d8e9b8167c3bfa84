"""How rows and labels get into a running stack: over HTTP, through serving and ingest, in batches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Final

import httpx
import orjson
from pydantic import SecretStr

from everloop.errors import FatalError, UsageError
from everloop.replay.rows import Labels, Rows
from everloop.tokens import Role, bearer

WAIT: Final = {"Everloop-Wait": "logged", "Content-Type": "application/json"}
"""Serving answers only after the broker has acknowledged the prediction record."""
LABELS_AT_ONCE: Final = 2_000
TIMEOUT_S: Final = 60.0
SHOWN: Final = 3
PAUSE_S: Final = 0.2
TOO_MANY, SERVER_ERRORS = 429, 500
NOT_YET: Final = frozenset({404, 429, 503})


class HttpDoor:
    """A `Door` of a real stack; `serving` and `ingest` are base addresses.

    `patience_s`: how long to ask again where the service is not so far: a loop file that it has not heard of yet, a
    backlog, a broker that is away. A replay has none: there all is heard before a row is sent.
    `tokens`: what each role shows, where the stack asks for it.
    """

    def __init__(
        self, serving: str, ingest: str, *, patience_s: float = 0.0, tokens: Mapping[Role, SecretStr] | None = None
    ) -> None:
        """Connect when first asked."""
        self.tokens = dict(tokens or {})
        self.patience_s = patience_s
        self.serving = serving
        self.ingest = ingest
        self.client = httpx.Client(timeout=TIMEOUT_S)

    def predict(self, model: str, rows: Rows) -> None:
        """Have rows scored."""
        body: dict[str, object] = {"columns": dict(rows.features), "prediction_id": rows.ids, "time": rows.times}
        entity: dict[str, object] = {} if rows.entities is None else {"entity_id": rows.entities}
        self._post("scoring", f"{self.serving}/v1/models/{model}/predict", body | entity)

    def history(self, model: str, rows: Rows) -> None:
        """Send rows as history."""
        body: dict[str, object] = {
            "model": model,
            "source": "bootstrap",
            "prediction_id": rows.ids,
            "times": rows.times,
        }
        entity: dict[str, object] = {} if rows.entities is None else {"entity_id": rows.entities}
        self._post("ingest", f"{self.ingest}/v1/predictions", body | entity | {"features": dict(rows.features)})

    def label(self, model: str, labels: Labels) -> None:
        """Send labels."""
        for start in range(0, len(labels.ids), LABELS_AT_ONCE):
            part = slice(start, start + LABELS_AT_ONCE)
            body = {"prediction_id": labels.ids[part], "label": labels.labels[part], "labelled_at": labels.at[part]}
            self._post("labels", f"{self.ingest}/v1/labels", {"model": model, **body})

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _post(self, role: Role, url: str, body: Mapping[str, object]) -> None:
        """Raises `FatalError` when nobody answers, `UsageError` for what the service refuses, with its words."""
        content, latest = orjson.dumps(body), time.monotonic() + self.patience_s
        answer = self._ask(role, url, content)
        while answer.status_code in NOT_YET and time.monotonic() < latest:
            time.sleep(PAUSE_S)
            answer = self._ask(role, url, content)
        if answer.is_success and not _refused_rows(answer):
            return
        said = f"{url} answers {answer.status_code}: {'; '.join(_problems(answer)) or 'no reason given'}"
        if answer.status_code == TOO_MANY or answer.status_code >= SERVER_ERRORS:
            raise FatalError(said)
        raise UsageError(said)

    def _ask(self, role: Role, url: str, content: bytes) -> httpx.Response:
        try:
            return self.client.post(url, content=content, headers={**WAIT, **bearer(self.tokens.get(role))})
        except httpx.HTTPError as error:
            raise FatalError(f"{url}: no answer ({type(error).__name__}); `everloop status` shows what runs") from error


def _refused_rows(answer: httpx.Response) -> list[dict[str, object]]:
    """Rows that the front door has refused while it took the others."""
    if b'"refused"' not in answer.content or b'"refused":0' in answer.content:
        return []
    return [item for item in orjson.loads(answer.content)["items"] if "errors" in item]


def _problems(answer: httpx.Response) -> Iterator[str]:
    """What a service of ours says about a refusal (`everloop.http.Problem`), of all or of the first row."""
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return
    found = next(iter(_refused_rows(answer)), found) if answer.is_success else found
    listed = found.get("errors") if isinstance(found, dict) else None
    for one in (listed if isinstance(listed, list) else [])[:SHOWN]:
        if isinstance(one, dict):
            yield f"{one.get('where', '')}: {one.get('rule', '')} {one.get('fix', '')}".strip()
