"""`everloop replay`: what it refuses before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from everloop.cli import build
from everloop.cli.context import FailedError
from everloop.cli.replay import _compare, _pace
from tests.unit.cli.turns import refusal


def run(tmp_path: Path, *words: str) -> Result:
    file, loop = str(tmp_path / "rows.csv"), str(tmp_path / "loop.yaml")
    return CliRunner().invoke(build(), ["replay", file, "--loop", loop, "--var", str(tmp_path), *words])


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "inf", "nan"])
def test_a_speed_is_max_or_a_number_above_zero(tmp_path: Path, speed: str) -> None:
    assert f"--speed {speed}: write max, or how many times" in refusal(run(tmp_path, "--speed", speed), 2)


def test_only_the_lock_step_is_compared(tmp_path: Path) -> None:
    said = refusal(run(tmp_path, "--speed", "10", "--against", "old.jsonl"), 2)
    assert "only --speed max decides the same" in said


def test_decisions_to_compare_with_are_read_before_anything_is_sent(tmp_path: Path) -> None:
    assert "old.jsonl: cannot be read" in refusal(run(tmp_path, "--against", str(tmp_path / "old.jsonl")), 2)


def test_without_a_stack_it_says_how_to_start_one(tmp_path: Path) -> None:
    assert "everloop up" in refusal(run(tmp_path), 2)


def test_the_speeds() -> None:
    assert _pace("max") is None
    assert _pace("3600") == 3600


def test_a_difference_fails_and_names_the_decision(capsys: pytest.CaptureFixture[str]) -> None:
    _compare(None, b"x\n", None)
    _compare(b"x\n", b"x\n", Path("old"))
    assert "the 1 of old, met again" in capsys.readouterr().out
    with pytest.raises(FailedError, match="not the decisions of old: decision 2 differs: y before, z now"):
        _compare(b"x\ny\n", b"x\nz\n", Path("old"))
