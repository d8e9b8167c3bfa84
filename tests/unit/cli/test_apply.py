"""`everloop apply` and `validate`."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from everloop import events as e
from everloop import topics
from everloop.buckets import partition
from tests.builders import NOON
from tests.unit.cli.turns import WALL, Stack, a_stack, everything_of, refusal

TEXT = """kind: Loop
version: 1
model: fraud
task: binary
columns: {id: txn_id, time: ts, label: is_fraud}
"""


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    path = tmp_path / "fraud.yaml"
    path.write_text(TEXT)
    return path


def applied(stack: Stack) -> list[e.LoopApplied]:
    return [event for _, event in everything_of(stack) if isinstance(event, e.LoopApplied)]


def test_a_new_loop_is_published_where_its_model_belongs(loop: Path) -> None:
    stack = a_stack()
    result = stack.run("apply", str(loop))
    assert result.stdout == "fraud: applied, for the first time\n"
    (event,) = applied(stack)
    assert event.loop["task"] == "binary"
    assert event.time == WALL
    assert stack.on(topics.LOOPS)[partition("fraud", topics.PARTITIONS)] == 1
    (record,) = [one for records in stack.broker.records.values() for one in records]
    assert record.key == b"fraud"


def test_what_changes_is_said_by_key(loop: Path) -> None:
    stack = a_stack()
    stack.run("apply", str(loop))
    loop.write_text(TEXT + "drift: {share: 0.5}\ngate: {floor: {roc_auc: 0.8}}\n")
    said = stack.run("apply", str(loop), "--dry-run").stdout
    assert "fraud: not applied (--dry-run), 2 keys change" in said
    assert "  drift.share: 0.3 -> 0.5" in said
    assert "  gate.floor.roc_auc: not set -> 0.8" in said
    assert len(applied(stack)) == 1
    value = orjson.loads(stack.run("apply", str(loop), "--json").stdout)
    assert (value["applied"], value["first"], len(value["changes"])) == (True, False, 2)
    assert len(applied(stack)) == 2


def test_what_has_not_changed_is_not_said_again(loop: Path) -> None:
    stack = a_stack()
    stack.run("apply", str(loop))
    loop.write_text("# a comment\n" + TEXT)
    assert stack.run("apply", str(loop)).stdout == "fraud: nothing has changed\n"
    assert len(applied(stack)) == 1


def test_a_loop_that_comes_back_is_another_event(loop: Path) -> None:
    stack = a_stack()
    for text in (TEXT, TEXT + "drift: {share: 0.5}\n", TEXT):
        loop.write_text(text)
        stack.run("apply", str(loop))
    events = applied(stack)
    assert len({event.id for event in events}) == 3
    assert events[0].digest == events[2].digest


def test_under_a_replay_it_has_the_model_s_time(loop: Path) -> None:
    stack = a_stack()
    stack.say(topics.CLOCK, e.ClockMoved.named("clock", WALL, "fraud", data=NOON, control=NOON))
    stack.run("apply", str(loop))
    assert applied(stack)[0].time == NOON


@pytest.mark.parametrize("command", ["apply", "validate"])
def test_a_wrong_file_is_said_by_line_and_key_and_nothing_is_published(loop: Path, command: str) -> None:
    stack = a_stack()
    loop.write_text(TEXT.replace("binary", "binry") + "drift: {share: 7}\n")
    result = stack.run(command, str(loop))
    assert (result.exit_code, result.stdout) == (2, "")
    first, second = result.stderr.splitlines()
    assert first.startswith(f"{loop}:4: task: ")
    assert second.startswith(f"{loop}:6: drift.share: ")
    assert applied(stack) == []


def test_no_such_file_and_no_text(tmp_path: Path) -> None:
    assert "No such file" in refusal(a_stack().run("apply", str(tmp_path / "none.yaml")), 2)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    assert "not a text in UTF-8" in refusal(a_stack().run("apply", str(tmp_path / "bytes.yaml")), 2)


def test_valid_files_need_no_stack(loop: Path) -> None:
    assert a_stack().run("validate", str(loop)).stdout == f"{loop}: valid, model fraud\n"
