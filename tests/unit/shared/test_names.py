"""Replays of one name share its lineage, and each gets a number of its own."""

from __future__ import annotations

import pytest

from everloop.names import lineage, next_replay


@pytest.mark.parametrize(
    ("model", "name"),
    [("fraud", "fraud"), ("fraud.r3", "fraud"), ("a.b.r12", "a.b"), ("fraud.r0", "fraud.r0"), ("x.rest", "x.rest"),
     ("r1", "r1"), (".r1", ".r1"), ("fraud.r1.r2", "fraud.r1")],
)  # fmt: skip
def test_lineage_leaves_the_number_of_the_replay_out(model: str, name: str) -> None:
    assert lineage(model) == name


def test_the_next_replay_is_one_more_than_the_last_of_its_name() -> None:
    known = ["fraud", "fraud.r2", "fraud.r10", "churn.r40", "fraud.rest"]
    assert next_replay("fraud", known) == "fraud.r11"
    assert next_replay("churn.r40", known) == "churn.r41"
    assert next_replay("new", known) == "new.r1"
