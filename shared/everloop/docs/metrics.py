"""`docs/metrics.md`: every metric and every label, from the one closed list."""

from __future__ import annotations

from everloop.docs.text import page, table
from everloop.metrics import LABELS, METRICS, MOST_MODELS, OTHER

INTRODUCTION = f"""\
Every service answers `GET /metrics` in the text format of Prometheus. The list is closed: it is written in
[`metrics.py`](../shared/everloop/metrics.py), and a name or label that is not in it is an error. A label value that is
not listed is shown as `{OTHER}`, so that no input can make series without end."""
MODELS = f"the models whose loop file is applied, the first {MOST_MODELS} in order of name"


def metrics_page() -> str:
    """The whole page."""
    metrics = table(
        ("metric", "kind", "labels", "meaning"),
        (
            (f"`{name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.meaning)
            for name, one in METRICS.items()
        ),
    )
    labels = table(
        ("label", "values"),
        ((f"`{label}`", ", ".join(f"`{one}`" for one in sorted(values)) or MODELS) for label, values in LABELS.items()),
    )
    return page("Metrics", INTRODUCTION, metrics, "## Labels", labels)
