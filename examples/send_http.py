"""Have a payment scored over HTTP, and say later what it really was. Nothing but Python's standard library.

python examples/send_http.py [--serving URL] [--ingest URL]
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

Post = Callable[[str, Mapping[str, object]], dict[str, Any]]
PAYMENT = {"prediction_id": "tx-1001", "entity_id": "card-7", "features": {"amount": 12.5, "country": "CH"}}


def score(post: Post, serving: str, model: str, row: Mapping[str, object]) -> dict[str, Any]:
    """Ask for one score. The answer names the version and the arm that gave it."""
    answer = post(f"{serving}/v1/models/{model}/predict", {"rows": [row]})
    first: dict[str, Any] = answer["rows"][0]
    return first


def report(post: Post, ingest: str, model: str, version: str, row: Mapping[str, object]) -> int:
    """Tell of a prediction that your own server has made; the number of rows that the broker has acknowledged."""
    accepted: int = post(f"{ingest}/v1/predictions", {"model": model, "version": version, "rows": [row]})["accepted"]
    return accepted


def label(post: Post, ingest: str, model: str, prediction_id: str, truth: float) -> int:
    """Say what really happened, as soon as it is known."""
    now = round(time.time() * 1000)
    body = {"model": model, "prediction_id": [prediction_id], "label": [truth], "labelled_at": [now]}
    accepted: int = post(f"{ingest}/v1/labels", body)["accepted"]
    return accepted


def post_json(url: str, body: Mapping[str, object]) -> dict[str, Any]:
    """POST one JSON document. Raises `urllib.error.HTTPError`, whose body names field, rule and fix."""
    request = urllib.request.Request(  # noqa: S310 - the address comes from the command line
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        found: dict[str, Any] = json.load(answer)
    return found


def main() -> None:
    """Score one payment of the model `fraud`, then label it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--serving", default="http://127.0.0.1:18007", help="see `everloop status`")
    options.add_argument("--ingest", default="http://127.0.0.1:18000", help="see `everloop status`")
    given = options.parse_args()
    print(score(post_json, given.serving, "fraud", PAYMENT))
    print(label(post_json, given.ingest, "fraud", "tx-1001", 0.0), "label accepted")


if __name__ == "__main__":
    main()
