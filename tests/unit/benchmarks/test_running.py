"""One benchmark after the other: what fails is said and counted, the others still run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from benchmarks import __main__ as command
from benchmarks.figures import Measured, Say, Size
from benchmarks.running import run
from everloop.errors import FatalError
from tests.unit.benchmarks.fakes import MACHINE, RACE, WORLD, a_benchmark, unseen


def fails(error: Exception) -> Callable[[Size, Say], Measured]:
    def raised(size: Size, say: Say) -> Measured:
        raise error

    return raised


MIXED = [
    a_benchmark("bus.lost", fails(FatalError("the broker went away"))),
    a_benchmark("bus.race"),
    a_benchmark("loop.bug", fails(ZeroDivisionError())),
]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second of watching the machine, and no look at it."""
    monkeypatch.setattr(command, "busy", lambda: 1.5)
    monkeypatch.setattr(command, "commit", lambda: "abc1234")
    monkeypatch.setattr(command, "describe", lambda at: MACHINE)


def test_a_failure_leaves_the_others_their_figures() -> None:
    outcome = run(MIXED, Size(), WORLD, unseen)
    assert [one.name for one in outcome.figures] == ["bus.race"]
    assert list(outcome.failed) == ["bus.lost", "loop.bug"]
    assert outcome.failed["bus.lost"] == "the broker went away"
    assert "ZeroDivisionError" in outcome.failed["loop.bug"]


def test_a_figure_knows_its_circumstances() -> None:
    (one,) = run([a_benchmark()], Size(quick=True), WORLD, unseen).figures
    assert (one.at, one.commit, one.busy, one.quick) == (WORLD.now(), "abc1234", 1.5, True)


def test_what_a_benchmark_says_reaches_who_watches() -> None:
    def speaks(size: Size, say: Say) -> Measured:
        say("half of it")
        return RACE

    heard: list[str] = []

    class Watched:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> Say:
            return lambda text: heard.append(f"{self.name}: {text}")

        def __exit__(self, *_: object) -> None:
            heard.append("end")

    run([a_benchmark(run=speaks)], Size(), WORLD, Watched)
    assert heard == ["bus.race: half of it", "end"]


def test_the_exit_code_tells_of_a_failure_and_the_files_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--out", str(tmp_path)], MIXED) == command.FAILED
    said = capsys.readouterr()
    assert "bus.lost failed: the broker went away" in said.err
    assert "bus.race" in said.out
    assert [row["name"] for row in orjson.loads((tmp_path / "bus.json").read_bytes())] == ["bus.race"]
    assert orjson.loads((tmp_path / "machine.json").read_bytes()) == MACHINE


def test_without_a_failure_it_is_zero_and_json_is_all_that_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["bus.race", "--json", "--out", str(tmp_path)], MIXED) == 0
    (row,) = orjson.loads(capsys.readouterr().out)
    assert (row["name"], row["ratio"]) == ("bus.race", 3.0)


@pytest.mark.parametrize(("word", "names"), [("bus", {"bus.lost", "bus.race"}), ("loop.bug", {"loop.bug"})])
def test_an_area_or_a_name_chooses(word: str, names: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list", word], MIXED) == 0
    said = capsys.readouterr().out
    assert {one.name for one in MIXED if one.name in said} == names


def test_a_name_that_is_none_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["bus.nothing"], MIXED) == command.USAGE
    assert "'bus.nothing': there is bus, bus.lost, bus.race, loop, loop.bug" in capsys.readouterr().err


def test_a_busy_machine_is_named_under_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "busy", lambda: 42.0)
    command.main(["bus.race", "--out", str(tmp_path)], MIXED)
    assert "bus.race (42 %)" in capsys.readouterr().out
