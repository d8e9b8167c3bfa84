"""`everloop demo` as a person runs it: every condition met; and without the concept change, when it has to fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

pytestmark = pytest.mark.e2e
LIMIT_S = 480
"""Twice the promise of `make demo` after installation: a busy machine is no failure of the loop."""


def demo(var: Path, *options: str) -> subprocess.CompletedProcess[str]:
    everloop = Path(sys.executable).with_name("everloop")
    command, env = [str(everloop), "demo", "--var", str(var), *options], {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=env)


def summary_of(var: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = orjson.loads((var / "summary.json").read_bytes())
    return found


def test_one_turn_of_the_loop(tmp_path: Path) -> None:
    ended = demo(tmp_path / "demo")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = summary_of(tmp_path / "demo")
    sys.stdout.write(f"the demo took {told['seconds']} s\n")
    assert list(told) == [
        "seconds", "false_alarms", "drift", "promoted", "refused", "quality_before", "quality_drifted",
        "quality_after", "books_balanced",
    ]  # fmt: skip
    assert told["false_alarms"] == 0
    assert told["drift"]["rule"]
    assert told["promoted"]["fresh_labels"] > 0
    assert told["promoted"]["shadow"]
    assert "floor.roc_auc" in told["refused"]["failed"]
    assert told["quality_drifted"] <= told["quality_before"] - 0.05
    assert told["quality_after"] >= told["quality_before"] - 0.03
    assert told["books_balanced"] is True
    assert "<svg" in (tmp_path / "demo" / "report.html").read_text("utf-8")
    assert "the stack is stopped" in ended.stdout


@pytest.mark.soak  # as long as the demo itself, and the suite has fifteen minutes
def test_without_the_concept_change_it_fails_and_says_why(tmp_path: Path) -> None:
    ended = demo(tmp_path / "demo", "--without-concept-change")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "quality_drifted:" in ended.stderr
    told = summary_of(tmp_path / "demo")
    assert told["books_balanced"] is True
    assert told["quality_drifted"] > told["quality_before"] - 0.05
