"""What `docs/events.md` says of the forms of predictions is what the reader of rows does."""

from __future__ import annotations

import orjson
import pyarrow as pa

from everloop.codec import ARROW
from everloop.docs.forms import ARROW_COLUMNS, PLAIN, forms
from everloop.rows import read_rows
from everloop.rows.arrow import FEATURE, ROW_COLUMNS, SAID_ONCE
from tests.docs.pages import blocks, text_of
from tests.unit.rows.builders import arrow, headers, stream


def test_the_plain_row_is_one() -> None:
    (shown,) = blocks(forms(), "json")
    assert orjson.loads(shown) == PLAIN
    rows = read_rows(shown.encode(), ())
    assert (rows.model, rows.version, rows.score) == ("fraud", "1", [0.11])
    assert forms() in text_of("docs/events.md")


def test_every_column_of_arrow_is_described_and_is_read() -> None:
    assert set(ARROW_COLUMNS) == {*ROW_COLUMNS, f"{FEATURE}NAME"}
    required = [name for name, (need, _) in ARROW_COLUMNS.items() if need]
    assert required == ["prediction_id", "time"]
    values = {"entity_id": ["a"] * 3, "status": ["ok"] * 3, "f.NAME": pa.array(["a"] * 3, pa.string_view())}
    rest = {name: values.get(name, [0.5] * 3) for name in ARROW_COLUMNS if name not in required}
    said = {name: {"source": "serving", "epoch": "3"}.get(name, "x") for name in SAID_ONCE}
    for compression in (None, "lz4", "zstd"):
        rows = read_rows(stream(arrow(**rest), said=said, compression=compression), headers(ARROW))
        missing = [name for name in (*ROW_COLUMNS[2:], *SAID_ONCE) if getattr(rows, name) is None]
        assert (missing, list(rows.features)) == ([], ["NAME"])
