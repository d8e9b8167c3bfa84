"""The pages under `docs/` that follow from the code: events, topics, settings, metrics. `make docs` writes them anew.

Pure text from the registry, but for `settings`, which imports each service's settings by name, and the golden examples
that are passed in. A test holds the files to what is generated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from everloop.docs.events import Golden, events_page
from everloop.docs.metrics import metrics_page
from everloop.docs.settings import settings_page
from everloop.docs.topics import topics_page

GOLDEN = Path("tests", "contracts", "golden")


def read_golden(root: Path) -> dict[str, Golden]:
    """The golden example of each event type, by type. Raises `OSError` and `orjson.JSONDecodeError`."""
    return {path.stem: orjson.loads(path.read_bytes()) for path in sorted((root / GOLDEN).glob("*.json"))}


def pages(golden: Mapping[str, Golden]) -> dict[str, str]:
    """Every generated page by its path from the root of the repository."""
    return {
        "docs/events.md": events_page(golden),
        "docs/topics.md": topics_page(),
        "docs/settings.md": settings_page(),
        "docs/metrics.md": metrics_page(),
    }
