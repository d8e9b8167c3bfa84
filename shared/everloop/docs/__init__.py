"""The pages under `docs/` that follow from the code: events, topics, settings, metrics, AsyncAPI and OpenAPI.

`make docs` writes them anew, a test holds the files to what is generated here. Pure text from the registry and the
golden examples that are passed in, but for `settings`, `asyncapi` and `openapi`, which import services by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from everloop.docs.asyncapi import asyncapi_page
from everloop.docs.events import Golden, events_page
from everloop.docs.metrics import metrics_page
from everloop.docs.openapi import openapi_page
from everloop.docs.settings import settings_page
from everloop.docs.topics import topics_page

GOLDEN = Path("tests", "contracts", "golden")


def read_golden(root: Path) -> dict[str, Golden]:
    """The golden example of each event type, by type. Raises `OSError` and `orjson.JSONDecodeError`."""
    return {path.stem: orjson.loads(path.read_bytes()) for path in sorted((root / GOLDEN).glob("*.json"))}


def pages(golden: Mapping[str, Golden]) -> dict[str, str]:
    """Every generated page by its path from the root of the repository."""
    return {
        "docs/asyncapi.yaml": asyncapi_page(golden),
        "docs/openapi.yaml": openapi_page(),
        "docs/events.md": events_page(golden),
        "docs/topics.md": topics_page(),
        "docs/settings.md": settings_page(),
        "docs/metrics.md": metrics_page(),
    }
