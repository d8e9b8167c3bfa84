"""Rows from CSV: columns by the loop file, and errors that name row and column, never a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop.errors import UsageError
from everloop.loop.watching import Columns
from everloop.replay.rows import read_csv

COLUMNS = Columns(id="txn_id", time="ts", label="is_fraud", entity="card_id")
HEADER = "txn_id,ts,card_id,amount,country,is_fraud\n"
GOOD = "t1,2026-01-05T00:00:00Z,c1,10.5,NL,1\nt2,2026-01-05T01:00:00+01:00,c2,,DE,0\n"


def a_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(text, "utf-8")
    return path


def test_columns_come_by_role_and_features_by_what_is_left(tmp_path: Path) -> None:
    rows = read_csv(a_file(tmp_path, HEADER + GOOD), COLUMNS)
    assert (rows.ids, rows.entities, rows.labels) == (("t1", "t2"), ("c1", "c2"), (1.0, 0.0))
    assert rows.times == (1_767_571_200_000, 1_767_571_200_000)
    assert rows.features == {"amount": (10.5, None), "country": ("NL", "DE")}


def test_kinds_of_the_loop_file_choose_the_features_and_how_they_are_read(tmp_path: Path) -> None:
    rows = read_csv(a_file(tmp_path, HEADER + GOOD), COLUMNS, {"amount": "categorical"})
    assert rows.features == {"amount": ("10.5", None)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("txn_id,ts,card_id\n", "no column 'is_fraud', which the loop file names as columns.label"),
        (HEADER, "has a header and no rows"),
        (HEADER + "t1,yesterday,c1,1,NL,1\n", "row 1: column 'ts' is no ISO 8601 time"),
        (HEADER + "t1,2026-01-05,c1,1,NL,maybe\n", "row 1: column 'is_fraud' is not a finite number"),
        (HEADER + "t1,2026-01-05,c1,1,NL,nan\n", "row 1: column 'is_fraud' is not a finite number"),
        (HEADER + "t1,2026-01-05,,1,NL,1\n", "row 1: column 'card_id' is empty"),
        (HEADER + GOOD + "t1,2026-01-05,c1,1,NL,1\n", "row 3: column 'txn_id' repeats row 1"),
        (HEADER + "t1,2026-01-05\n", "row 1: has 2 cells, the header has 6"),
        ("a,a\n1,2\n", "a column name stands twice"),
    ],
)
def test_what_is_wrong_is_said_with_row_and_column(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_csv(a_file(tmp_path, text), COLUMNS)
    assert said in str(caught.value)
    assert "yesterday" not in str(caught.value)
    assert "maybe" not in str(caught.value)


def test_a_text_in_a_column_that_the_loop_file_calls_numeric_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="row 1: column 'country' is not a finite number, and the loop file says numeric"
    ):
        read_csv(a_file(tmp_path, HEADER + GOOD), COLUMNS, {"country": "numeric"})


def test_batches_are_the_same_rows_in_their_order(tmp_path: Path) -> None:
    rows = read_csv(a_file(tmp_path, HEADER + GOOD), COLUMNS)
    first, second = rows.batches(1)
    assert first.ids + second.ids == rows.ids
    assert first.features["amount"] + second.features["amount"] == rows.features["amount"]


def test_labels_are_known_after_their_delay(tmp_path: Path) -> None:
    labels = read_csv(a_file(tmp_path, HEADER + GOOD), COLUMNS).labelled(3_600_000)
    assert labels.at == (1_767_574_800_000, 1_767_574_800_000)


def test_where_ids_may_be_numbers_a_file_without_them_is_counted(tmp_path: Path) -> None:
    path = a_file(tmp_path, HEADER.replace("txn_id", "other") + GOOD)
    rows = read_csv(path, COLUMNS, numbered=True)
    assert rows.ids == ("1", "2")
    assert rows.features["other"] == ("t1", "t2")
    with pytest.raises(UsageError, match="no column 'txn_id'"):
        read_csv(path, COLUMNS)
    assert read_csv(a_file(tmp_path, HEADER + GOOD), COLUMNS, numbered=True).ids == ("t1", "t2")
