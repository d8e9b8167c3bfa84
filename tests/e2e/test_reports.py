"""The full report of the window that opened an episode, made by the reports worker beside the loop on a real stack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from everloop import topics
from everloop.events import Event, ReportWritten, WindowJudged
from everloop.local.paths import Var
from everloop.runtime.log import Log
from tests.e2e.conftest import started
from tests.e2e.cycle import PATIENCE, Cycle, driver, journal

pytestmark = [pytest.mark.e2e, pytest.mark.kafka, pytest.mark.soak]
MODEL = "reports.r1"
OPENING_WINDOWS = 4
"""Until the drift of the cycle is an episode."""
SURELY_MOVED = 0.8
"""Area of a classifier that tells the window from the reference: one feature has moved by three deviations."""


def said(log: Log) -> list[Event]:
    """What the worker has decided by now."""
    return journal(log, topics.REPORTS, MODEL)


def test_the_window_that_opened_an_episode_has_its_page(tmp_path: Path) -> None:
    var, saved = tmp_path / "stack", tmp_path / "saved"
    with started(Var(var), {}, without=()) as stack, driver(stack) as client:
        Cycle(MODEL, client).play(OPENING_WINDOWS)
        PATIENCE.until(lambda: [] if isinstance(said(client.log)[-1], ReportWritten) else ["a report"], "the report")
        (report,) = [event for event in said(client.log) if isinstance(event, ReportWritten)]
        judged = {event.id: event for event in journal(client.log, topics.DRIFT, MODEL)}[report.judged]
        assert isinstance(judged, WindowJudged)
        assert judged.episode == "opened"
        assert report.auc is not None
        assert report.auc.value > SURELY_MOVED
        shown = everloop("reports", MODEL, "--json", "--broker", stack.broker, "--var", str(var))
        everloop("reports", MODEL, "--save", str(saved), "--broker", stack.broker, "--var", str(var))
    assert [row["state"] for row in json.loads(shown)] == ["written"]
    assert sorted(path.suffix for path in saved.iterdir()) == [".html", ".json"]


def everloop(*words: str) -> str:
    """What a command prints."""
    command = [str(Path(sys.executable).with_name("everloop")), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
