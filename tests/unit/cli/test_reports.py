"""`everloop reports`: what was written of a model's windows, what is under way, and copies of the newest."""

from __future__ import annotations

from pathlib import Path

import orjson
from pydantic import JsonValue

from everloop import events as e
from everloop import topics
from everloop.artifacts import FolderStore
from everloop_drift.domain.reporting import State
from everloop_drift.handlers import announce_report
from tests.builders import NOON, a_loop, a_window_judged
from tests.unit.cli.turns import Stack, a_stack
from tests.unit.drift.test_reporting import WRITTEN, Desk, known


def a_stack_with_reports(root: Path) -> Stack:
    """One report that is written, one that is under way, one that waits."""
    stack, desk, store = a_stack(), Desk(), FolderStore(root / "artifacts")
    stack.apply(a_loop())
    desk.hear(a_window_judged())
    desk.tick(known())
    files = {name: store.put(f"the {name}".encode(), "report") for name in ("html", "data")}
    refs: dict[str, JsonValue] = {name: {"uri": one.uri, "sha256": one.sha256} for name, one in files.items()}
    desk.ended({**WRITTEN, **refs})
    desk.hear(
        a_window_judged(e.Episode.CLOSED).model_copy(update={"verdict": "stable", "start": 1, "end": 2, "rows": 0})
    )
    for number, event in enumerate(desk.said, start=1):
        stack.say(topics.REPORTS, event.model_copy(update={"sequence": number}))
    return stack


def test_reports_by_window_with_where_they_lie(tmp_path: Path) -> None:
    early, late = orjson.loads(a_stack_with_reports(tmp_path).run("reports", "fraud", "--json").stdout)
    assert (early["state"], early["episode"], early["html"]) == ("waits for the archive", "closed", None)
    assert (late["state"], late["auc"], late["energy_p"], late["rows"]) == ("written", 0.8, 0.005, 1600)
    assert late["html"].startswith(f"file://{tmp_path}/artifacts/report/")


def test_reports_as_a_table(tmp_path: Path) -> None:
    said = a_stack_with_reports(tmp_path).run("reports", "fraud", "-n", "1").stdout.splitlines()
    assert said[0].split() == ["START", "VERSION", "EPISODE", "ROWS", "AUC", "ENERGY_P", "STATE"]
    assert said[1].split()[2:] == ["1", "opened", "1600", "0.8", "0.005", "written"]
    assert said[2].startswith("2026-01-05 11:00:00  file://")


def test_the_newest_is_copied_under_a_name_to_open(tmp_path: Path) -> None:
    stack = a_stack_with_reports(tmp_path)
    words = ("reports", "fraud", "--save", str(tmp_path / "out"), "--var", str(tmp_path))
    assert stack.run(*words).exit_code == 0
    said = stack.run(*words)  # over the first copies
    page, data = map(Path, said.stdout.split())
    assert (page.suffix, data.suffix) == (".html", ".json")
    assert (page.read_text(), data.read_text()) == ("the html", "the data")


def test_why_leads_from_a_report_to_its_window(tmp_path: Path) -> None:
    stack, window = a_stack_with_reports(tmp_path), a_window_judged()
    stack.say(topics.DRIFT, window.model_copy(update={"sequence": 1}))
    failed = e.ReportFailed.because(
        window, NOON, judged=window.id, version="1", start=window.start, end=window.end, attempt=2, error="no memory",
        reason=e.Reason(rule="job_failed"),
    )  # fmt: skip
    stack.say(topics.REPORTS, failed.model_copy(update={"sequence": 4}))
    (alert,) = announce_report(State(), failed)
    stack.say(topics.ALERTS, alert)
    told = [one["type"] for one in orjson.loads(stack.run("why", str(alert.id), "--json").stdout)]
    assert told == [e.AlertRaised.TYPE, e.ReportFailed.TYPE, e.WindowJudged.TYPE]


def test_none_yet(tmp_path: Path) -> None:
    stack = a_stack()
    stack.apply(a_loop())
    assert orjson.loads(stack.run("reports", "fraud", "--json").stdout) == []
    refused = stack.run("reports", "fraud", "--save", str(tmp_path))
    assert refused.exit_code == 1
    assert "has no report yet" in refused.output
