"""Jobs: what a child wrote is what is told, and nothing of a child stays behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import orjson
import pytest

from everloop.errors import InvalidError
from everloop.jobs import KEPT_FOLDERS, SCRATCH, ChildJobs, Finished, InlineJobs, Jobs, Result, run_child

LONG = 60.0
WRITE = "import sys,os; open(sys.argv[2]+'~','w').write({text!r}); os.rename(sys.argv[2]+'~', sys.argv[2]); "
GOOD = orjson.dumps({"ok": True, "result": {"rows": 3}, "error": ""}).decode()
WAIT = "import time; time.sleep(600)"
COMMANDS = {
    "good": WRITE.format(text=GOOD),
    "aborts": WRITE.format(text=GOOD) + "os.abort()",
    "hangs at exit": WRITE.format(text=GOOD) + WAIT,
    "torn": WRITE.format(text='{"ok": tr'),
    "silent": "raise SystemExit(3)",
    "hangs": WAIT,
    "environment": "import os,sys,json; open(sys.argv[2]+'~','w').write(json.dumps({'ok': True, 'error': '', "
    "'result': dict(os.environ)})); os.rename(sys.argv[2]+'~', sys.argv[2])",
    "grandchild": "import subprocess,sys; p = subprocess.Popen([sys.executable, '-c', '" + WAIT + "']); "
    "open('{here}', 'w').write(str(p.pid)); " + WRITE.format(text=GOOD),
}


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[ChildJobs]:
    code = {kind: text.replace("{here}", str(tmp_path / "pid")) for kind, text in COMMANDS.items()}
    running = ChildJobs(
        {kind: [sys.executable, "-S", "-c", text] for kind, text in code.items()}, tmp_path / "jobs",
        environment={"EVERLOOP_ARTIFACTS": "/store"},
    )  # fmt: skip
    yield running
    running.close()


def the_end(jobs: Jobs) -> Finished:
    """Poll until something has ended; pytest's own timeout is the bound."""
    while not (ended := jobs.finished()):
        Event().wait(0.01)
    (only,) = ended
    return only


def has_ended(pid: int) -> bool:
    """Gone, or a zombie that its new parent has not reaped yet."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S607
    return state.stdout.strip()[:1] in {"", "Z"}


@pytest.mark.parametrize("kind", ["good", "aborts", "hangs at exit"])
def test_the_result_file_is_the_judge(jobs: ChildJobs, kind: str) -> None:
    jobs.start("a", kind, b"{}", LONG)
    assert the_end(jobs) == Finished("a", ok=True, result={"rows": 3})
    assert jobs.finished() == []


@pytest.mark.parametrize(
    ("kind", "seconds", "error"),
    [
        ("silent", LONG, "the job ended with status 3 and no result"),
        ("torn", LONG, "the job's result cannot be read"),
        ("hangs", 0.01, "the job took longer than 0.01 s and was stopped"),
    ],
)
def test_no_result_is_told_in_one_sentence(jobs: ChildJobs, kind: str, seconds: float, error: str) -> None:
    jobs.start("a", kind, b"{}", seconds)
    assert the_end(jobs) == Finished("a", ok=False, error=error)


def test_what_a_child_has_started_ends_with_it(jobs: ChildJobs, tmp_path: Path) -> None:
    jobs.start("a", "grandchild", b"{}", LONG)
    assert the_end(jobs).ok
    pid = int((tmp_path / "pid").read_text())
    while not has_ended(pid):  # were it not killed, pytest's timeout would say so
        Event().wait(0.01)


def test_a_killed_job_has_no_end(jobs: ChildJobs) -> None:
    jobs.start("a", "hangs", b"{}", LONG)
    jobs.kill("a")
    jobs.kill("never started")
    assert jobs.finished() == []


def test_a_child_sees_nothing_of_the_parents_secrets(jobs: ChildJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLOOP_KEY", "hush")
    jobs.start("a", "environment", b"{}", LONG)
    seen = the_end(jobs).result
    assert "EVERLOOP_KEY" not in seen
    assert (seen["EVERLOOP_ARTIFACTS"], seen["DO_NOT_TRACK"]) == ("/store", "true")
    assert seen["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize("kind", ["good", "silent", "torn"])
def test_what_a_child_holds_on_disk_goes_with_it(jobs: ChildJobs, tmp_path: Path, kind: str) -> None:
    (tmp_path / "jobs" / "orphaned" / SCRATCH).mkdir(parents=True)
    jobs.start("a", kind, b"{}", LONG)
    scratch = tmp_path / "jobs" / "a" / SCRATCH
    assert [path.parent.name for path in (tmp_path / "jobs").glob(f"*/{SCRATCH}")] == ["a"]
    the_end(jobs)
    assert not scratch.exists()


def test_a_child_is_told_where_to_put_it(jobs: ChildJobs, tmp_path: Path) -> None:
    jobs.start("a", "environment", b"{}", LONG)
    assert the_end(jobs).result["TMPDIR"] == str(tmp_path / "jobs" / "a" / SCRATCH)


def test_a_key_is_a_file_name(jobs: ChildJobs) -> None:
    with pytest.raises(ValueError, match="key of a job"):
        jobs.start("../a", "good", b"{}", LONG)


def test_old_folders_go(jobs: ChildJobs, tmp_path: Path) -> None:
    for number in range(KEPT_FOLDERS + 3):
        (tmp_path / "jobs" / f"old-{number}").mkdir(parents=True)
    jobs.start("new", "good", b"{}", LONG)
    assert len(list((tmp_path / "jobs").iterdir())) == KEPT_FOLDERS
    assert the_end(jobs).ok


def an_echo(spec: bytes) -> Result:
    if spec == b"bad":
        raise InvalidError("shape", "the label has one class only; send rows of both")
    if spec == b"worse":
        raise KeyError("a personal value")
    return {"said": spec.decode()}


def test_the_child_side_tells_our_errors_and_keeps_the_text_of_others(tmp_path: Path) -> None:
    said = []
    for number, spec in enumerate((b"fine", b"bad", b"worse")):
        (tmp_path / "spec").write_bytes(spec)
        result = tmp_path / f"result-{number}"
        run_child(an_echo, [str(tmp_path / "spec"), str(result)])
        said.append(orjson.loads(result.read_bytes()))
    assert said == [
        {"ok": True, "result": {"said": "fine"}, "error": ""},
        {"ok": False, "result": {}, "error": "the label has one class only; send rows of both"},
        {"ok": False, "result": {}, "error": "the job failed with KeyError; its log says where"},
    ]


def test_the_fake_hands_out_each_end_once() -> None:
    jobs = InlineJobs({"echo": an_echo})
    jobs.start("a", "echo", b"one", LONG)
    jobs.start("b", "echo", b"bad", LONG)
    jobs.start("c", "echo", b"killed", LONG)
    jobs.kill("c")
    assert [(end.key, end.ok, end.result) for end in jobs.finished()] == [
        ("a", True, {"said": "one"}),
        ("b", False, {}),
    ]
    assert jobs.finished() == []
