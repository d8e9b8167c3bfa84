"""What the fast tests prove is what the careful reading accepts, to the last value; good bodies are proved."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop import topics
from everloop.codec import decode
from everloop.events import Event
from everloop.http import RefusedError, loads
from everloop_ingest.adapters import quick
from everloop_ingest.adapters.bodies import Judged, Read, read_labels, read_predictions
from everloop_ingest.adapters.quick import Prove
from everloop_ingest.adapters.records import Said, message
from everloop_ingest.domain.reading import Stamp
from tests.unit.ingest.builders import NOON, NOON_MS

COLUMNS: dict[str, Any] = {
    "model": "fraud", "version": "v1", "prediction_id": ["a", "b"], "times": [NOON_MS, NOON_MS + 1],
    "features": {"amount": [1.5, 2.5], "shop": ["x", "y"]}, "score": [0.1, 0.2],
}  # fmt: skip
ROW: dict[str, Any] = {
    "model": "fraud", "version": "v1", "prediction_id": "a", "time": NOON_MS,
    "features": {"amount": 1, "shop": "x", "odd": None, "new": True}, "score": 0.5,
}  # fmt: skip
LABELS: dict[str, Any] = {
    "model": "fraud", "prediction_id": ["a", "b"], "label": [1, 0.0], "labelled_at": [NOON_MS, NOON_MS],
}  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {
    "columns": COLUMNS,
    "whole numbers": {**COLUMNS, "features": {"n": [1, 2]}, "score": [1, 0]},
    "a mixture": {**COLUMNS, "features": {"n": [1, None], "m": [True, "x"], "o": [1.5, 2], "p": [None, None]}},
    "no features": {**COLUMNS, "features": {}},
    "times as text": {**COLUMNS, "times": ["2026-01-01T12:00:00Z", "2026-01-01T13:00:00+01:00"]},
    "all keys": {
        **COLUMNS, "source": "serving", "digest": "a" * 64, "arm": "canary", "epoch": 3, "entity_id": ["e", "f"],
        "label": [None, 1], "latency_ms": [0, None], "status": ["ok", "error"],
        "shadow": {"version": "v2", "score": [None, 1]},
    },
    "nothing said": {**COLUMNS, "arm": None, "digest": None, "epoch": None, "entity_id": None, "shadow": None},
    "a bootstrap": {**COLUMNS, "source": "bootstrap", "version": None, "score": None, "label": [0, 1]},
    "only errors": {**COLUMNS, "score": None, "status": ["error", "error"]},
    "texts with colons": {**COLUMNS, "features": {"url": ["http://a", "http://b"]}},
    "other scripts": {**COLUMNS, "features": {"città": ["Zürich", "東京"]}, "entity_id": ["ä\\b", "\U0001f600"]},
    "a row": ROW,
    "a row with all keys": {
        **ROW, "time": "2026-01-01T12:00:00Z", "entity_id": "e", "label": 1, "latency_ms": 3, "status": "error",
        "arm": "x", "epoch": 0, "source": "producer",
    },
    "a row of a bootstrap": {**ROW, "source": "bootstrap", "version": None, "score": None},
}  # fmt: skip


def stamp(binary: bool) -> Stamp:  # noqa: FBT001 -- as a task has two classes or not
    return Stamp("name", NOON, binary)


def again(event: Said) -> Event:
    """What readers find in the record of an event."""
    record = message(topics.PREDICTIONS, 0, event, NOON)
    return decode(record.value, record.headers)


def told(prove: Prove, raw: bytes, *, binary: bool) -> Event | None:
    """The event of a proved body; None for one that is not proved."""
    parsed = quick.parse(raw)
    found = None if parsed is None else prove(parsed, stamp(binary))
    return None if found is None else again(found.event)


def careful(read: Read, raw: bytes, *, binary: bool) -> Judged | None:
    """What the careful reading makes of it; None where it refuses."""
    try:
        body = loads(raw)
        return read(body, stamp(binary)) if isinstance(body, dict) else None
    except RefusedError:
        return None


def require_equal(prove: Prove, read: Read, raw: bytes, *, binary: bool) -> bool:
    """Whether a body is proved. What is, the careful reading finds nothing wrong with, and says the same event."""
    quickly = told(prove, raw, binary=binary)
    if quickly is None:
        return False
    judged = careful(read, raw, binary=binary)
    assert judged is not None
    assert not judged.wrong
    assert quickly.model_dump_json() == again(judged.event).model_dump_json()
    return True


@pytest.mark.parametrize("form", GOOD)
@pytest.mark.parametrize("binary", [True, False])
def test_good_bodies_are_proved(form: str, binary: bool) -> None:  # noqa: FBT001 -- as `stamp`
    assert require_equal(quick.predictions, read_predictions, orjson.dumps(GOOD[form]), binary=binary)


def test_good_labels_are_proved() -> None:
    assert require_equal(quick.labels, read_labels, orjson.dumps(LABELS), binary=True)
    assert require_equal(quick.labels, read_labels, orjson.dumps({**LABELS, "label": [3, 0.5]}), binary=False)


def test_spaces_and_lines_between_keys_and_colons_hide_no_key_that_comes_twice() -> None:
    spaced = json.dumps(COLUMNS, indent=2).replace('":', '" \n:').encode()
    assert told(quick.predictions, spaced, binary=True) is not None
    twice = b'{"version" :"v0",' + orjson.dumps(COLUMNS)[1:]
    inside = orjson.dumps(COLUMNS).replace(b'"shop":', b'"amount":')
    with_text = orjson.dumps({**COLUMNS, "entity_id": ['":', "b"]}).replace(b'"shop":', b'"amount":')
    assert [quick.parse(raw) for raw in (twice, inside, with_text)] == [None] * 3


ODD = st.sampled_from([
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, 2**53 + 1, 2**64, -(2**63) - 1, 10**30, NOON_MS, NOON_MS * 10**6,
    NOON_MS // 1000, "", "a", "a b", "../etc", "x" * 129, "x" * 1025, "\x00", "\x7f", "a\u2028", "a\u202eb", "ä",
    "2026-01-01T12:00:00Z", "2026-01-01T12:00:00", "noon", "ok", "error", "serving", "nan", "a" * 64, [], [1], {},
    {"a": [1]}, {"": ["a", "b"]}, {"x" * 257: [1, 2]}, {"a\u0085": [1, 2]},
])  # fmt: skip
CELLS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.text(max_size=4), ODD)
VALUES = st.one_of(ODD, st.lists(CELLS, min_size=1, max_size=3))


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A good body of which some parts are changed, taken away or added."""
    body = dict(draw(st.sampled_from([*GOOD.values(), LABELS])))
    names = st.sampled_from([*GOOD["all keys"], "time", "label", "labelled_at", "rows", "who"])
    for _ in range(draw(st.integers(0, 2))):
        body[draw(names)] = draw(VALUES)
    if draw(st.booleans()):
        features = dict(body["features"]) if isinstance(body.get("features"), dict) else {}
        body["features"] = {**features, draw(st.text(max_size=3)): draw(VALUES)}
    if draw(st.integers(0, 4)) == 0:
        body.pop(draw(st.sampled_from(sorted(body))))
    return body


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(bodies(), st.booleans(), st.booleans())
def test_what_is_proved_the_careful_reading_accepts_and_says_the_same(
    body: dict[str, Any], binary: bool, escaped: bool  # noqa: FBT001 -- as above
) -> None:  # fmt: skip
    try:
        raw = json.dumps(body, ensure_ascii=escaped).encode()
    except UnicodeEncodeError:
        raw = json.dumps(body).encode()
    require_equal(quick.predictions, read_predictions, raw, binary=binary)
    require_equal(quick.labels, read_labels, raw, binary=binary)
