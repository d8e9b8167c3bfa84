"""Each measure equals the implementation that people know, and docs/drift.md says by how much it does not."""

from __future__ import annotations

from functools import cache

import pytest

from everloop_drift.domain.measures import CATEGORICAL, NUMERIC, POSITIVE
from tests.docs.pages import text_of
from tests.unit.drift.page import MEASURES, NAME, decade, drift_page, written
from tests.unit.drift.parity import PARITY, Parity


@cache
def largest(one: Parity) -> float:
    return one.largest()


@pytest.mark.parametrize("one", PARITY, ids=lambda one: f"{one.measure} {one.reference}")
def test_a_measure_differs_from_its_reference_by_no_more_than_it_may(one: Parity) -> None:
    assert largest(one) <= one.tolerance


def test_the_page_is_what_the_code_says_and_what_it_says_was_seen_holds() -> None:
    text = text_of(NAME)
    said = written(text)
    assert text == drift_page(said), "run: make docs"
    assert set(said) == {(one.measure, one.reference) for one in PARITY}
    for one in PARITY:
        assert largest(one) <= float(said[one.measure, one.reference]) <= 10 * one.tolerance, one.measure


def test_every_measure_has_a_line() -> None:
    assert set(MEASURES) == {*NUMERIC, *CATEGORICAL, *POSITIVE}


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "1e-12"), (1.0, "1e0"), (2e-16, "1e-12"), (1e-9, "1e-9"), (3.0, "1e1")]
)
def test_what_was_seen_is_rounded_up(value: float, shown: str) -> None:
    assert decade(value) == shown
