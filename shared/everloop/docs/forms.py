"""The section of `docs/events.md` on the forms in which rows may come: what a producer chooses from."""

from __future__ import annotations

from typing import Final

from everloop.codec import ARROW, STRUCTURED
from everloop.docs.text import fenced, pretty, table
from everloop.events import MOST_FEATURES, MOST_ROWS
from everloop.rows.arrays import MOST_BYTES
from everloop.rows.arrow import FEATURE, MOST_CELLS, SAID_ONCE

PLAIN: Final = {
    "model": "fraud", "prediction_id": "tx-1001", "time": "2026-01-05T12:00:00Z", "entity_id": "card-7", "version": "1",
    "features": {"amount": 12.5, "country": "CH"}, "score": 0.11,
}  # fmt: skip
"""A plain row, as a test reads it."""
FORMS: Final = (
    ("columns", "`application/json`", "attributes as `ce_` headers, the data of `PredictionsLogged` as value"),
    ("structured", f"`{STRUCTURED.decode()}`", "one JSON document: attributes, and the same columns as `data`"),
    (
        "plain row",
        "any, or none",
        "no `ce_` header; one JSON object of one row; its id is `model` with `prediction_id`",
    ),
    ("Arrow", f"`{ARROW.decode()}`", "attributes as `ce_` headers, an Arrow IPC stream as value"),
)
_TEXT, _NUMBER = "text in every row", "number, null where there is none"
ARROW_COLUMNS: Final = {
    "prediction_id": ("required", _TEXT),
    "time": ("required", "integer (ms since 1970), or timestamp of any unit with a time zone; in every row"),
    "entity_id": ("", _TEXT),
    "score": ("", _NUMBER),
    "label": ("", _NUMBER),
    "latency_ms": ("", _NUMBER),
    "status": ("", "`ok` or `error` in every row"),
    "shadow_score": ("", f"{_NUMBER}; with `shadow_version` in the metadata"),
    f"{FEATURE}NAME": ("", "the feature NAME: number, text or boolean; null or NaN where there is none"),
}
ABOUT: Final = f"""\
A record of predictions has 0 to {MOST_ROWS:,} rows and up to {MOST_FEATURES:,} features, in one of four forms. A plain
row is the easiest to write, columns are read several times faster per row, Arrow streams faster still. All mean the
same, and are held to `PredictionsLogged` below: times are integers, scores, labels and latencies are numbers or null,
and nothing is guessed from text. A value of a feature may be anything: what is no number, text, boolean or null counts
as malformed in the windows, and costs its row nothing."""
STREAM: Final = f"""\
An Arrow stream has any number of batches, uncompressed or by LZ4 or ZSTD, and these columns and no others. What is true
of all rows stands in the metadata of its schema, as text: {", ".join(f"`{name}`" for name in SAID_ONCE)}. Numbers are
integers, floats and decimals of any width; texts are `utf8`, `large_utf8`, `utf8_view`, or a dictionary of those, which
is the fastest. A feature of any other type counts as malformed in every row. Decompressed, the buffers of a stream hold
{MOST_BYTES // 2**20} MiB at most, and rows times columns are at most {MOST_CELLS:,}.
[`examples/send_arrow.py`](../examples/send_arrow.py) writes one."""


def forms() -> str:
    """The whole section."""
    columns = ((f"`{name}`", *about) for name, about in ARROW_COLUMNS.items())
    return "\n\n".join([
        "## Forms of predictions", ABOUT, table(("form", "content-type", "what it is"), FORMS),
        "A plain row:", fenced("json", pretty(PLAIN)),
        STREAM, table(("column", "", "values"), columns),
    ])  # fmt: skip
