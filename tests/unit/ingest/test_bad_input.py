"""The catalogue of bad input at the front door, among good traffic.

Each bad item is answered with its reason, or quarantined under it; each good row is counted; nothing is a 5xx.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from everloop.events import PredictionsLogged, VersionPromoted
from everloop.http import LARGEST_BODY
from everloop_ingest.adapters.cloud import BATCH, STRUCTURED
from tests.unit.ingest.builders import NOON_MS
from tests.unit.ingest.houses import House

JSON = {"content-type": "application/json"}
EVENT = {"content-type": STRUCTURED}
COLUMNS: dict[str, object] = {
    "model": "fraud", "version": "v1", "prediction_id": ["a"], "times": [NOON_MS], "features": {"amount": [1.0]},
    "score": [0.5],
}  # fmt: skip


@dataclass(frozen=True)
class Bad:
    """One bad request, its status, where, by which rule, and the reason of its dead letter, if it has one."""

    body: bytes
    status: int
    rule: str
    reason: str | None = "shape"
    where: str = ""
    path: str = "/v1/predictions"
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    method: str = "POST"


def columns(**changed: object) -> bytes:
    return orjson.dumps({**COLUMNS, **changed})


def with_score(text: bytes) -> bytes:
    return columns(score=["SCORE"]).replace(b'"SCORE"', text)


def an_event(**changed: object) -> bytes:
    data = {name: value for name, value in COLUMNS.items() if name != "model"}
    event = {
        "specversion": "1.0", "id": "e", "source": "/shop", "type": PredictionsLogged.TYPE, "subject": "fraud",
        "data": data,
    }  # fmt: skip
    return orjson.dumps({**event, **changed})


def label(**changed: object) -> bytes:
    return orjson.dumps({"model": "fraud", "prediction_id": "a", "label": 1, "labelled_at": NOON_MS, **changed})


MALFORMED = "malformed"
CATALOGUE: Mapping[str, Bad] = {
    # numbers
    "NaN": Bad(with_score(b"NaN"), 400, "not_finite", MALFORMED),
    "Infinity": Bad(with_score(b"Infinity"), 400, "not_finite", MALFORMED),
    "-Infinity": Bad(with_score(b"-Infinity"), 400, "not_finite", MALFORMED),
    "1e400": Bad(with_score(b"1e400"), 422, "finite_number", where="score.0"),
    "a number as text": Bad(with_score(b'"nan"'), 422, "float_type", where="score.0"),
    "a truth value as number": Bad(with_score(b"true"), 422, "float_type", where="score.0"),
    "5,000 digits": Bad(with_score(b"9" * 5_000), 400, "json", MALFORMED),
    # texts
    "half a surrogate pair": Bad(columns(entity_id=["S"]).replace(b'"S"', rb'"\ud800"'), 400, "encoding", MALFORMED),
    "NUL in a text": Bad(columns(entity_id=["a\x00"]), 422, "control_character", where="entity_id.0"),
    "text that turns round": Bad(columns(entity_id=["a\u202eb"]), 422, "control_character", where="entity_id.0"),
    "1 MB of text": Bad(columns(entity_id=["x" * 1_000_000]), 422, "string_too_long", where="entity_id.0"),
    # sizes
    "100,000 features": Bad(columns(features={str(n): [0] for n in range(100_000)}), 422, "too_long", where="features"),
    "100,000 rows": Bad(columns(prediction_id=["a"] * 100_000), 422, "too_long", where="prediction_id"),
    "many errors": Bad(
        columns(
            prediction_id=[f"p{n}" for n in range(2_000)],
            times=[NOON_MS] * 2_000,
            score=[0.5] * 2_000,
            features={str(n): [[]] * 1_999 + [1] for n in range(20)},
        ),
        422,
        "too_many_errors",
        where="body",
    ),
    "no rows": Bad(columns(prediction_id=[], times=[], features={}, score=[]), 422, "too_short", where="prediction_id"),
    # keys
    "a key twice": Bad(b'{"model": "fraud", "model": "fraud"}', 400, "duplicate_key", MALFORMED),
    "an unknown key": Bad(columns(who=1), 422, "extra_forbidden", where="who"),
    "a key in capitals": Bad(columns(Score=[1]), 422, "extra_forbidden", where="Score"),
    # documents
    "nested 5,000 deep": Bad(b"[" * 5_000 + b"]" * 5_000, 400, "json", MALFORMED),
    "nested 20 deep": Bad(with_score(b"[" * 20 + b"]" * 20), 422, "float_type", where="score.0"),
    "no object": Bad(b"[1, 2]", 422, "dict_type", where="body"),
    "two documents": Bad(columns() + columns(), 400, "json", MALFORMED),
    "a torn document": Bad(columns()[:-10], 400, "json", MALFORMED),
    "nothing": Bad(b"", 400, "json", MALFORMED),
    "no UTF-8": Bad(b'{"model": "\xff"}', 400, "encoding", MALFORMED),
    "a byte order mark": Bad(b"\xef\xbb\xbf" + columns(), 400, "json", MALFORMED),
    "UTF-16": Bad(columns().decode().encode("utf-16"), 400, "encoding", MALFORMED),
    # headers
    "another charset": Bad(columns(), 415, "media_type", None, headers={"content-type": "application/json; charset=x"}),
    "no content type": Bad(columns(), 415, "media_type", None, headers={}),
    "another content type": Bad(columns(), 415, "media_type", None, headers={"content-type": "text/csv"}),
    "a compressed body": Bad(
        gzip.compress(b" " * 100_000), 415, "compressed", None, headers={**JSON, "content-encoding": "gzip"}
    ),
    "a large body": Bad(b" " * (LARGEST_BODY + 1), 413, "too_large", None),
    "a length that is none": Bad(b"{}", 413, "too_large", None, headers={**JSON, "content-length": "x" * 3}),
    "a key with a line break": Bad(columns(), 422, "key", headers={**JSON, "idempotency-key": "a\tb"}),
    # times
    "no time": Bad(orjson.dumps({k: v for k, v in COLUMNS.items() if k != "times"}), 422, "missing", where="times"),
    "a time without a zone": Bad(columns(times=["2026-01-01T12:00:00"]), 422, "time_zone", where="times.0"),
    "a time in nanoseconds": Bad(columns(times=[NOON_MS * 1_000_000]), 422, "less_than_equal", where="times.0"),
    "a time in seconds": Bad(columns(times=[NOON_MS // 1000]), 422, "greater_than_equal", where="times.0"),
    "a time that is none": Bad(columns(times=["noon"]), 422, "time", where="times.0"),
    # names
    **{
        f"the id {name!r}": Bad(columns(prediction_id=[name]), 422, "string_pattern_mismatch", where="prediction_id.0")
        for name in ("../etc", "a'; DROP TABLE--", "%00", "x" * 300, "\U0001f600", "", "a b")
    },
    "a model that is not applied": Bad(columns(model="evil"), 404, "unknown_model", "unknown_model", "model"),
    "a model that is no text": Bad(columns(model=7), 422, "string_type", where="model"),
    "a version that is no text": Bad(columns(version=1.5), 422, "string_type", where="version"),
    "a digest that is none": Bad(columns(digest="x"), 422, "string_pattern_mismatch", where="digest"),
    # labels
    "a label that is missing": Bad(label(label=None), 422, "float_type", where="label.0", path="/v1/labels"),
    "a label as text": Bad(label(label="1"), 422, "float_type", where="label.0", path="/v1/labels"),
    # events
    "an event of a service": Bad(
        an_event(type=VersionPromoted.TYPE),
        422,
        "unknown_type",
        "unknown_type",
        "type",
        "/v1/events",
        EVENT,
    ),
    "an event without an id": Bad(an_event(id=None), 422, "string_type", "shape", "id", "/v1/events", EVENT),
    "an event without data": Bad(an_event(data=None), 422, "dict_type", "shape", "data", "/v1/events", EVENT),
    "an event that says a turn": Bad(
        an_event(data={**COLUMNS, "correlation_id": "x"}), 422, "repeated", "shape", "data", "/v1/events", EVENT
    ),
    # routes
    "another method": Bad(b"", 405, "Method Not Allowed", None, method="GET"),
    "HEAD": Bad(b"", 405, "", None, method="HEAD"),
    "OPTIONS": Bad(b"", 405, "Method Not Allowed", None, method="OPTIONS"),
    "an unknown path": Bad(columns(), 404, "Not Found", None, path="/v1/predictions/../admin"),
}


NUMBERS = itertools.count()


def good(house: House) -> str:
    """Send one good row; its id."""
    name = f"good-{next(NUMBERS)}"
    assert house.post("/v1/predictions", columns(prediction_id=[name]), JSON).status_code == 202
    return name


def rows(house: House) -> list[str]:
    return sorted(name for event in house.written() for name in event.prediction_id)


@pytest.mark.parametrize("name", CATALOGUE)
def test_bad_input_is_answered_and_kept_and_costs_no_good_row(house: House, name: str) -> None:
    bad = CATALOGUE[name]
    before = good(house)
    answer = house.client.request(bad.method, bad.path, content=bad.body, headers=dict(bad.headers))
    after = good(house)
    assert answer.status_code == bad.status
    if bad.method != "HEAD":
        first = answer.json()["errors"][0]
        assert first["rule"] == bad.rule
        assert first["where"] == bad.where or not bad.where
    assert rows(house) == sorted([before, after])
    assert [letter.reason for letter in house.letters()] == ([bad.reason] if bad.reason else [])


BAD_CELLS = [
    ("score", '"nan"'), ("score", "true"), ("score", "1e400"), ("times", '"noon"'), ("times", "1"),
    ("prediction_id", '"../etc"'), ("prediction_id", "7"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "cell"), BAD_CELLS)
@pytest.mark.parametrize("form", ["columns", "rows", "batch"])
def test_a_bad_item_among_good_ones(house: House, form: str, column: str, cell: str) -> None:
    """Of three items the middle one is bad, in each form that carries several."""
    names = [f"x{next(NUMBERS)}" for _ in range(3)]
    whole: dict[str, Any] = {
        **COLUMNS, "prediction_id": list(names), "times": [NOON_MS] * 3, "features": {"amount": [1.0] * 3},
        "score": [0.5] * 3,
    }  # fmt: skip
    whole[column] = [*whole[column][:1], "BAD", *whole[column][2:]]
    body, path, kind = formed(whole, form)
    answer = house.post(path, body.replace(b'"BAD"', cell.encode()), {"content-type": kind})
    assert answer.status_code == 202
    statuses = [item["status"] for item in answer.json()["items"]]
    assert statuses == [202, 422, 202]
    assert rows(house) == sorted([names[0], names[2]])
    assert [letter.reason for letter in house.letters()] == ["shape"]


def formed(whole: Mapping[str, Any], form: str) -> tuple[bytes, str, str]:
    """Three rows as columns, as rows, or as a batch of events."""
    if form == "columns":
        return orjson.dumps(whole), "/v1/predictions", "application/json"
    each: Sequence[dict[str, object]] = [
        {name: whole[name][place] for name in ("prediction_id", "times", "score")} for place in range(3)
    ]
    if form == "rows":
        listed = [
            {"prediction_id": one["prediction_id"], "time": one["times"], "score": one["score"], "features": {}}
            for one in each
        ]
        return orjson.dumps({"model": "fraud", "version": "v1", "rows": listed}), "/v1/predictions", "application/json"
    events = [
        orjson.loads(an_event(id=f"{whole['prediction_id']}{place}", data=data | {"version": "v1", "features": {}}))
        for place, one in enumerate(each)
        for data in ({name: [value] for name, value in one.items()},)
    ]
    return orjson.dumps(events), "/v1/events", BATCH


def test_a_body_that_comes_in_pieces_without_a_length_is_cut_off(house: House) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(LARGEST_BODY // 65_536 + 2):
            yield b" " * 65_536

    answer = house.client.post("/v1/predictions", content=pieces(), headers=JSON)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    good(house)


def test_a_long_query_string_and_a_flood_of_headers_change_nothing(house: House) -> None:
    flood = {f"x-{number}": "y" * 50 for number in range(500)}
    answer = house.post(f"/v1/predictions?{'q' * 10_000}", columns(prediction_id=["q"]), {**JSON, **flood})
    assert answer.status_code == 202
    assert rows(house) == ["q"]
