"""How rows and labels get into a running stack: over HTTP, through serving and ingest, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import httpx
import orjson

from everloop.errors import FatalError, UsageError
from everloop.replay.rows import Labels, Rows

WAIT: Final = {"Everloop-Wait": "logged", "Content-Type": "application/json"}
"""Serving answers only after the broker has acknowledged the prediction record."""
LABELS_AT_ONCE: Final = 2_000
TIMEOUT_S: Final = 60.0
SHOWN: Final = 3
TOO_MANY, SERVER_ERRORS = 429, 500


class HttpDoor:
    """A `Door` of a real stack; `serving` and `ingest` are base addresses."""

    def __init__(self, serving: str, ingest: str) -> None:
        """Connect when first asked."""
        self.serving = serving
        self.ingest = ingest
        self.client = httpx.Client(timeout=TIMEOUT_S)

    def predict(self, model: str, rows: Rows) -> None:
        """Have rows scored."""
        self._post(f"{self.serving}/v1/models/{model}/predict", _columns(rows))

    def history(self, model: str, rows: Rows) -> None:
        """Send rows as history."""
        self._post(f"{self.ingest}/v1/predictions", {"model": model, "source": "bootstrap", **_columns(rows)})

    def label(self, model: str, labels: Labels) -> None:
        """Send labels."""
        for start in range(0, len(labels.ids), LABELS_AT_ONCE):
            part = slice(start, start + LABELS_AT_ONCE)
            body = {"prediction_id": labels.ids[part], "label": labels.labels[part], "labelled_at": labels.at[part]}
            self._post(f"{self.ingest}/v1/labels", {"model": model, **body})

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _post(self, url: str, body: Mapping[str, object]) -> None:
        """Raises `FatalError` when nobody answers, `UsageError` for what the service refuses, with its words."""
        try:
            answer = self.client.post(url, content=orjson.dumps(body), headers=WAIT)
        except httpx.HTTPError as error:
            raise FatalError(f"{url}: no answer ({type(error).__name__}); `everloop status` shows what runs") from error
        if answer.is_success:
            return
        said = f"{url} answers {answer.status_code}: {'; '.join(_problems(answer)) or 'no reason given'}"
        if answer.status_code == TOO_MANY or answer.status_code >= SERVER_ERRORS:
            raise FatalError(said)
        raise UsageError(said)


def _columns(rows: Rows) -> dict[str, object]:
    found: dict[str, object] = {"prediction_id": rows.ids, "times": rows.times, "features": dict(rows.features)}
    return found | ({"entity_id": rows.entities} if rows.entities is not None else {})


def _problems(answer: httpx.Response) -> Iterator[str]:
    """What a service of ours says about a refusal (`everloop.http.Problem`)."""
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return
    listed = found.get("errors") if isinstance(found, dict) else None
    for one in (listed if isinstance(listed, list) else [])[:SHOWN]:
        if isinstance(one, dict):
            yield f"{one.get('where', '')}: {one.get('rule', '')} {one.get('fix', '')}".strip()
