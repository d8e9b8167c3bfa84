"""Plain rows that are read together are the rows that are read one by one; where there is a doubt, none is."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.errors import InvalidError
from everloop.rows import Rows, read_rows
from everloop.rows.gathering import MANY, gather, is_alone
from everloop.runtime.log import Place, Record
from tests.unit.rows.builders import AT, PLAIN, STRUCTURED, headers, plain_row

ODD: list[dict[str, Any]] = [
    {"score": "0.5"}, {"score": True}, {"score": None}, {"status": "late"}, {"status": None}, {"entity_id": 7},
    {"entity_id": None}, {"epoch": 1}, {"epoch": True}, {"epoch": 1.0}, {"version": 7}, {"model": ""}, {"model": None},
    {"time": -1}, {"time": 2**60}, {"time": "2026-01-05T12:00:00Z"}, {"time": "noon"}, {"time": True},
    {"features": {}}, {"features": []}, {"features": None}, {"features": {"amount": [1]}}, {"more": 1}, {"label": 1},
    {"prediction_id": 1}, {"source": "serving"}, {"source": None}, {"source": "x"}, {"shadow": {}},
    {"arm": "candidate"},
]  # fmt: skip


def some(*changes: dict[str, Any]) -> list[bytes]:
    return [orjson.dumps(plain_row(prediction_id=f"p{n}") | change) for n, change in enumerate(changes)]


def one_by_one(values: list[bytes]) -> list[Rows] | None:
    """What each says by itself; None where one of them is refused."""
    try:
        return [read_rows(value, PLAIN) for value in values]
    except InvalidError:
        return None


def taken_apart(values: list[bytes]) -> list[Rows] | None:
    """The rows of the records that are gathered, each by itself, in the order of the values."""
    found = gather(values)
    if found is None:
        return None
    rows: dict[int, Rows] = {}
    for together, places in found:
        for at, place in enumerate(places):
            rows[place] = a_row(together, at)
    assert sorted(rows) == list(range(len(values)))
    return [rows[place] for place in sorted(rows)]


def a_row(rows: Rows, at: int) -> Rows:
    cut: dict[str, Any] = {
        name: None if getattr(rows, name) is None or getattr(rows, name)[at] is None else [getattr(rows, name)[at]]
        for name in ("entity_id", "score", "label", "latency_ms", "status")
    }
    name = rows.prediction_id[at]
    return replace(
        rows, id=f"{len(rows.model)}/{rows.model}/{name}", prediction_id=[name], times=[rows.times[at]],
        features={column: [values[at]] for column, values in rows.features.items()}, **cut,
    )  # fmt: skip


def same(one: Rows, other: Rows) -> bool:
    """By their texts, since 1, 1.0 and True are equal."""
    return repr(asdict(a_row(one, 0))) == repr(asdict(a_row(other, 0)))


@given(st.lists(st.sampled_from([{}, *ODD]), min_size=1, max_size=3), st.integers(0, 2 * MANY))
def test_rows_that_are_gathered_are_those_that_are_read_one_by_one(odd: list[dict[str, Any]], place: int) -> None:
    changes: list[dict[str, Any]] = [{}] * (3 * MANY)
    changes[place : place + len(odd)] = odd
    values = some(*changes)
    alone, together = one_by_one(values), taken_apart(values)
    if together is not None:
        assert alone is not None, "nothing is accepted that is refused by itself"
        assert all(map(same, alone, together))
    if not any(odd):
        assert together is not None, "the usual way is the fast one"


@pytest.mark.parametrize("change", [{"time": "2026-01-05T13:00:00+01:00"}, {"entity_id": None}, {"score": None}])
def test_what_all_rows_do_in_the_same_way_is_no_doubt(change: dict[str, Any]) -> None:
    values = some(*[change] * MANY)
    together = taken_apart(values)
    assert together is not None
    assert together[0].times == [AT]
    assert all(map(same, one_by_one(values) or [], together))


@pytest.mark.parametrize("other", [True, 1.0])
def test_what_is_equal_to_a_number_is_not_taken_for_it(other: object) -> None:
    assert gather(some(*[{"epoch": 1}] * MANY)) is not None
    assert gather(some(*[{"epoch": 1}] * MANY, {"epoch": other})) is None


def test_rows_of_two_models_are_two_records_in_the_order_of_each() -> None:
    found = gather(some(*[{"model": "a"}, {"model": "b"}] * 2 * MANY))
    assert found is not None
    assert [(one.rows.model, one.places[:2]) for one in found] == [("a", [0, 2]), ("b", [1, 3])]


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"7", b"null", b'{"features": {}}'])
def test_one_that_is_no_row_leaves_all_to_the_slower_way(value: bytes) -> None:
    assert gather([*some(*[{}] * MANY), value]) is None


def test_rows_that_hardly_have_company_are_not_worth_it() -> None:
    assert gather(some(*[{"model": f"m{number}"} for number in range(2 * MANY)])) is None


def test_only_a_value_without_an_envelope_is_alone() -> None:
    def record(value: bytes | None, *given_headers: tuple[str, bytes]) -> Record:
        return Record(Place("t", 0), 0, None, value, given_headers)

    assert is_alone(record(b"{}"))
    assert is_alone(record(b"{}", *PLAIN))
    assert not any(map(is_alone, [record(None), record(b"{}", *STRUCTURED), record(b"{}", *headers())]))
