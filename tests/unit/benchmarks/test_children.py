"""What work costs, from looks at a process: between the first progress after the warm-up and the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.children import Sample, child, cost
from everloop.errors import FatalError

LOOKS = [
    Sample(0, 5.0, 10.0), Sample(100, 6.0, 12.0), Sample(100, 6.2, 13.0), Sample(300, 7.0, 14.0),
    Sample(300, 7.1, 15.0), Sample(500, 8.0, 17.0), Sample(500, 9.0, 30.0),
]  # fmt: skip


def test_only_looks_that_saw_progress_count() -> None:
    found = cost(LOOKS, warm=100)
    assert (found.count, found.cpu_s, found.wall_s) == (400, 2.0, 5.0)
    assert (found.per_cpu_s, found.per_s) == (200.0, 80.0)


def test_the_warm_up_does_not_count() -> None:
    found = cost(LOOKS, warm=101)
    assert (found.count, found.cpu_s) == (200, 1.0)


def test_what_was_done_between_two_looks_has_no_cost() -> None:
    with pytest.raises(FatalError, match="measure more"):
        cost(LOOKS, warm=301)


def test_a_process_that_ends_is_said_with_the_end_of_its_log(tmp_path: Path) -> None:
    with child("everloop.nothing", [], tmp_path / "log") as process:
        process.process.wait()
        with pytest.raises(FatalError, match=r"ended with 1; the end of its log:\n.*No module named everloop\.nothing"):
            process.work(lambda: 0, warm=0, total=1, limit_s=60)
