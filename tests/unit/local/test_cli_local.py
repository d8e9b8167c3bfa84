"""What a person types, and the one line that they get."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from everloop.cli.local import register
from everloop.local.doctor import check_clock, check_jars, check_python
from everloop.local.lifecycle import stop
from everloop.local.state import supervisor_pid
from tests.unit.local.fakes import a_running_stack, a_server, a_var
from tests.unit.local.test_places import a_listener

NOON = 1_800_000_000.0


def everloop(*words: str) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, words)


def one_line(result: Result) -> str:
    """The error of a refused command: one line, exit code 2, nothing on standard output."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def test_status_shows_each_process(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    with a_running_stack(var, a_server(var)) as stack:
        shown = everloop("status", "--var", str(var.root))
        assert shown.exit_code == 0
        assert f"{stack.process('fake').pid}" in shown.stdout
        said = orjson.loads(everloop("status", "--var", str(var.root), "--json").stdout)
        assert said["state"] == "running"
        (row,) = said["processes"]
        assert (row["name"], row["state"], row["restarts"]) == ("fake", "ready", 0)
        assert row["pid"] == stack.process("fake").pid
        assert row["memory_mb"] > 0


def test_down_stops_it_once(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    with a_running_stack(var, a_server(var)):
        assert everloop("down", "--var", str(var.root)).exit_code == 0
        assert supervisor_pid(var) is None
        assert "nothing is running" in one_line(everloop("down", "--var", str(var.root)))


def test_status_of_nothing(tmp_path: Path) -> None:
    assert "everloop up" in one_line(everloop("status", "--var", str(tmp_path)))


def test_up_twice_is_refused(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    with a_running_stack(var, a_server(var)):
        assert "already running" in one_line(everloop("up", "--var", str(var.root)))
    assert not stop(var)


def test_a_port_in_use_stops_the_start_before_anything_is_fetched(tmp_path: Path) -> None:
    with a_listener() as port:
        said = one_line(everloop("up", "--var", str(tmp_path), "--ports", "auto", "--port", f"broker={port}"))
    assert f"port {port} for broker is in use" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--broker", "kafka.example.org:9092"), "plain text to another machine"),
        (("--broker", "127.0.0.1:9"), "no Kafka answers at 127.0.0.1:9"),
        (("--ports", "some"), "one of fixed, auto"),
        (("--port", "nobody=1"), "no 'nobody' in this stack"),
        (("--replicas", "trainer=9"), "a number from 1 to 8"),
        (("--only", "nobody"), "one of broker, topics"),
        (("--probe", "90s"), "whole minutes up to a day"),
    ],
)
def test_a_wish_that_cannot_be_met_is_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    auto = () if "--ports" in words else ("--ports", "auto")
    assert said in one_line(everloop("up", "--var", str(tmp_path), *auto, *words))


def test_logs_of_one_and_of_all(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    var.log("trainer").write_text("first\nlast\n")
    assert everloop("logs", "trainer", "-n", "1", "--var", str(var.root)).stdout == "last\n"
    assert everloop("logs", "--var", str(var.root)).stdout == "── trainer\nfirst\nlast\n"
    assert "there is: trainer" in one_line(everloop("logs", "nobody", "--var", str(var.root)))


def test_doctor_names_what_mends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLOOP_CACHE", str(tmp_path / "empty"))
    result = everloop("doctor", "--json", "--var", str(tmp_path))
    assert result.exit_code == 1
    findings = {finding["check"]: finding for finding in orjson.loads(result.stdout)}
    assert findings["python"]["ok"]
    assert findings["java"]["ok"]
    assert not findings["kafka jars"]["ok"]
    assert "everloop up" in findings["kafka jars"]["fix"]
    assert "FAIL kafka jars" in everloop("doctor", "--var", str(tmp_path)).stdout


def test_checks_that_fail() -> None:
    assert not check_python((3, 10)).ok
    assert check_clock(NOON, NOON - 1).ok
    assert not check_clock(NOON, NOON - 60).ok
    assert not check_clock(0, 0).ok
    assert not check_jars(Path("/nowhere")).ok


def test_a_state_directory_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = one_line(everloop("up", "--ports", "auto", "--var", str(tmp_path / "file")))
    assert "choose another place with --var DIR" in said
