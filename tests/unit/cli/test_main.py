"""The command line as a whole: what it loads, how it finds a log, how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from everloop.cli import build
from everloop.cli.context import exit_code, stack_broker
from everloop.errors import EverloopError, FatalError, InvalidError, UsageError
from everloop.local.paths import Var
from tests.unit.cli.turns import refusal

READING = (
    ["events"], ["alerts"], ["why", "fraud/1"], ["windows", "fraud"], ["traffic", "fraud"], ["train", "fraud"],
    ["books"], ["cycles", "fraud"], ["reports", "fraud"], ["drift", "fraud"], ["dlq", "list"], ["dlq", "show", "x"],
    ["archive", "list"], ["archive", "verify"], ["snapshot", "show", "x"], ["snapshot", "export", "x", "--out", "y"],
)  # fmt: skip
HEAVY = {
    "evidently", "faust", "httpx", "kafka", "mlflow", "numpy", "orjson", "pandas", "psutil", "pyarrow", "rich",
    "sklearn", "structlog", "yaml",
}  # fmt: skip
LOADED = """
import sys
from everloop.cli import build
sys.argv = ["everloop", *{words!r}]
try:
    build()()
except SystemExit as end:
    assert not end.code, end.code
print("LOADED", *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def run(*words: str) -> Result:
    return CliRunner().invoke(build(), words)


def loaded(*words: str) -> set[str]:
    """The top-level modules that a command line has loaded in a process of its own."""
    script = LOADED.format(words=list(words))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("LOADED")]
    return set(line.split())


def test_help_loads_nothing_heavy() -> None:
    assert "typer" in loaded("--help")
    assert loaded("--help") & (HEAVY | {"pydantic"}) == set()


@pytest.mark.parametrize(
    "command",
    [
        "apply",
        "train",
        "why",
        "events",
        "windows",
        "status",
        "books",
        "cycles",
        "reports",
        "drift",
        "dlq",
        "archive",
        "snapshot",
    ],
)
def test_help_of_a_command_loads_no_more_than_typer_does(command: str) -> None:
    assert loaded(command, "--help") & HEAVY == set()


def test_help_names_every_command() -> None:
    said = run("--help").stdout
    for name in (
        "up", "down", "status", "apply", "validate", "train", "why", "events", "alerts", "windows", "traffic", "books",
        "cycles", "drift", "reports", "dlq", "archive", "snapshot",
    ):  # fmt: skip
        assert f"  {name} " in said


def test_every_read_command_has_json_and_a_broker() -> None:
    commands = typer.main.get_command(build())
    for name in ("apply", "why", "events", "alerts", "windows", "drift", "traffic", "books", "cycles"):
        options = {word for one in commands.commands[name].params for word in one.opts}  # type: ignore[attr-defined]  # a group
        assert {"--json", "--broker", "--var"} <= options


@pytest.mark.parametrize("words", READING)
def test_a_broker_that_does_not_answer(words: list[str]) -> None:
    assert "no Kafka answers at 127.0.0.1:9" in refusal(run(*words, "--broker", "127.0.0.1:9"), 3)


def test_no_stack_and_no_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVERLOOP_BROKER", raising=False)
    said = refusal(run("events", "--var", str(tmp_path)), 3)
    assert "everloop up" in said
    assert "--broker" in said


def test_the_environment_names_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLOOP_BROKER", "127.0.0.1:8")
    assert "127.0.0.1:8" in refusal(run("events"), 3)


def test_the_stack_says_where_its_broker_is(tmp_path: Path) -> None:
    var = Var(tmp_path)
    var.make()
    var.state_file.write_text(
        '{"supervisor": 1, "started_at": "2026-01-01T00:00:00Z", "var": "/", "broker": "127.0.0.1:7", "urls": {}, '
        '"ports": {}, "processes": []}'
    )
    assert stack_broker(tmp_path) == "127.0.0.1:7"
    assert "127.0.0.1:7" in refusal(run("events", "--var", str(tmp_path)), 3)


def test_what_typer_refuses_is_usage() -> None:
    assert run("frob").exit_code == 2
    assert run("train").exit_code == 2
    assert run("events", "--limit", "-1").exit_code == 2


def test_exit_codes() -> None:
    errors = (UsageError("x"), FatalError("x"), InvalidError("x", "y"), EverloopError("x"))
    assert [exit_code(error) for error in errors] == [2, 3, 1, 1]
