"""The soak makes a training matrix of fifty million archived rows, which fit into no memory that it may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ingest.snapshot import archive, run

ARCHIVED = 50_000_000
ROWS = 45_000_000
"""Of them, the newest, that have a label: 95 in 100 have one."""
MOST_MIB = 4 * 1024


@pytest.mark.soak
def test_a_matrix_of_fifty_million_archived_rows_takes_less_than_four_gigabytes(tmp_path: Path) -> None:
    archive(tmp_path, ARCHIVED)
    found = run("ours", tmp_path, ARCHIVED, ROWS)
    assert found["rows"] == ROWS
    assert found["rss_mb"] < MOST_MIB
