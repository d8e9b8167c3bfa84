"""The supervisor with fake processes: what is started, started again, stopped, and told of a failure."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from everloop.errors import FatalError, UsageError
from everloop.local.groups import created
from everloop.local.lifecycle import require_nothing_running, stop, wait_until
from everloop.local.ready import is_ready
from everloop.local.state import hold_lock, read_stack, running, supervisor_pid
from tests.unit.local.fakes import (
    LIMIT_SECONDS,
    a_running_stack,
    a_script,
    a_server,
    a_var,
    eventually_restarted,
    seen,
    started,
)


def children(root: Path) -> list[int]:
    return [int(line) for line in (root / "children").read_text().split()]


def ended(pid: int) -> bool:
    return wait_until(lambda: created(pid) is None, LIMIT_SECONDS)


def test_what_others_depend_on_is_ready_first(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    first = a_script(var, "print('prepared')", name="first", once=True)
    with a_running_stack(var, first, a_server(var, depends_on=("first",))) as stack:
        done, fake = stack.process("first"), stack.process("fake")
        assert (done.phase, fake.phase) == ("done", "ready")
        assert done.ready_at is not None
        assert fake.started_at is not None
        assert done.ready_at <= fake.started_at


def test_a_killed_process_comes_back(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    with a_running_stack(var, a_server(var)) as stack:
        before = stack.process("fake")
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)
        after = eventually_restarted(var, "fake", restarts=1)
        assert after.pid != before.pid
        assert after.exit_code == -signal.SIGKILL


def test_children_of_a_killed_process_do_not_outlive_it(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    with a_running_stack(var, a_server(var, "parent")) as stack:
        pid = stack.process("fake").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually_restarted(var, "fake", restarts=1)
        first, second = children(var.root)
        assert ended(first)
        assert created(second) is not None


def test_stop_ends_children_and_the_deaf(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    stack = started(var, a_server(var, "parent", "deaf"))
    assert stop(var)
    pid = stack.process("fake").pid
    assert pid is not None
    assert ended(pid)
    assert all(ended(child) for child in children(var.root))
    assert supervisor_pid(var) is None
    assert seen(var, "fake").phase == "stopped"
    assert "did not stop within" in var.log("fake").read_text()


def test_a_process_that_never_gets_ready_is_told_with_its_last_lines(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    broken = a_script(var, "import sys; print('the reason'); sys.exit(3)").model_copy(
        update={"ready": "http://127.0.0.1:9/readyz"}
    )
    with pytest.raises(FatalError, match=r"(?s)script did not start \(exit code 3\).*the reason"):
        started(var, broken)
    assert supervisor_pid(var) is None


def test_a_failed_preparation_is_not_tried_again(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    with pytest.raises(FatalError, match=r"exit code 2"):
        started(var, a_script(var, "import sys; sys.exit(2)", once=True))
    assert seen(var, "script").restarts == 0


def test_a_program_that_does_not_exist_is_told(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    missing = a_script(var, "", once=True).model_copy(update={"argv": ("/nowhere/program",)})
    with pytest.raises(FatalError, match="cannot start /nowhere/program"):
        started(var, missing)


def test_two_stacks_cannot_run_in_one_place(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    with a_running_stack(var, a_server(var)):
        with pytest.raises(UsageError, match="already running"):
            require_nothing_running(var)
        with pytest.raises(UsageError, match="everloop down"), hold_lock(var, os.getpid()):
            raise AssertionError("two hold the lock")


def test_what_a_killed_supervisor_leaves_is_ended_by_the_next_start(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    fake = a_server(var)
    stack = started(var, fake)
    os.kill(stack.supervisor, signal.SIGKILL)
    assert wait_until(lambda: supervisor_pid(var) is None, LIMIT_SECONDS)
    assert is_ready(fake.ready)
    with pytest.raises(UsageError, match="nothing is running"):
        running(var)
    require_nothing_running(var)
    assert not is_ready(fake.ready)


def test_nothing_to_stop(tmp_path: Path) -> None:
    var = a_var(tmp_path)
    assert not stop(var)
    assert read_stack(var) is None
