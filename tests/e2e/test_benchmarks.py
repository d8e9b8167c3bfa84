"""Every benchmark runs, on a real broker and a real stack; what it measures is not asserted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from benchmarks.figures import ROW
from benchmarks.registry import BENCHMARKS

pytestmark = [pytest.mark.e2e, pytest.mark.soak]


def test_every_benchmark_gives_a_figure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    areas = dict.fromkeys(one.area for one in BENCHMARKS)
    rows = [row for area in areas for row in orjson.loads((tmp_path / f"{area}.json").read_bytes())]
    assert [row["name"] for row in rows] == [one.name for one in BENCHMARKS]
    assert all(tuple(row) == ROW for row in rows)
