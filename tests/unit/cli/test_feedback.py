"""What predictions brought, as `everloop drift` shows it: of a window, of all alike, and beside the champion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from everloop import events as e
from everloop import topics
from everloop.sketch.feedback import Brought
from everloop.story import feedback
from everloop.story.feedback import told
from tests.builders import HOUR_MS, NOON, a_loop
from tests.unit.cli.turns import Stack, a_stack
from tests.unit.drift.builders import START

ROWS = 256


def brought(mean: float, rows: int = ROWS, seed: int = 0) -> Brought:
    rng = np.random.default_rng(seed)
    values = np.round(rng.uniform(0, 2 * mean, rows), 2)
    buckets = np.arange(rows) % 256
    return Brought.observe(buckets, values, np.full(rows, np.nan), np.full(rows, 60_000 * 30))


def said(arm: str, version: str, counts: Brought, predicted: int | None = 2 * ROWS) -> e.FeedbackWindow:
    return e.FeedbackWindow(arm=arm, version=version, name="revenue", predicted=predicted, counts=counts.to_plain())


def a_window(hour: int, *found: e.FeedbackWindow, revision: int = 0, hours: int = 1) -> e.WindowClosed:
    start = START + hour * HOUR_MS
    return e.WindowClosed.named(
        f"{hour}/{revision}", NOON, "fraud", kind="outcomes", start=start, end=start + hours * HOUR_MS,
        revision=revision, arms=(), rows=0, feedback=found,
    )  # fmt: skip


@pytest.fixture(scope="module")
def stack() -> Stack:
    """The champion alone, then two windows beside a candidate."""
    stack = a_stack()
    stack.apply(a_loop())
    stack.say(topics.WINDOWS, a_window(0, said("champion", "1", brought(10))))
    for hour in (1, 2):
        arms = [said("champion", "1", brought(10, seed=hour)), said("candidate", "2", brought(14, seed=hour + 9))]
        stack.say(topics.WINDOWS, a_window(hour, *arms))
    return stack


def test_the_last_window_and_all_with_the_same_arms(stack: Stack) -> None:
    value = orjson.loads(stack.run("drift", "fraud", "--json").stdout)
    last, together = value["feedback"]
    assert (last["windows"], together["windows"]) == (1, 2)
    assert [(one["arm"], one["rows"], one["predicted"], one["coverage"]) for one in together["lines"]] == [
        ("champion", 2 * ROWS, 4 * ROWS, 0.5), ("candidate", 2 * ROWS, 4 * ROWS, 0.5),
    ]  # fmt: skip
    champion, candidate = together["lines"]
    assert champion["more"] is None
    assert candidate["more"]["value"] == pytest.approx(candidate["mean"]["value"] - champion["mean"]["value"])
    assert 0 < candidate["more"]["lower"] < candidate["more"]["value"] < candidate["more"]["upper"]
    assert candidate["more_per_row"]["value"] == pytest.approx(candidate["more"]["value"] / 2)
    assert candidate["mean"]["error"] < last["lines"][1]["mean"]["error"]
    assert 60_000 * 30 <= champion["p50"] <= champion["p95"] < 60_000 * 34


def test_as_text_and_as_a_page(stack: Stack, tmp_path: Path) -> None:
    text = stack.run("drift", "fraud").stdout
    assert text.startswith(
        "fraud: no window was compared yet\n\nfeedback to rows from 2026-01-05 14:00:00 to 2026-01-05"
    )
    assert "2 windows with these arms together" in text
    assert "256 of 512" in text
    assert "COVERAGE" in text
    page = tmp_path / "drift.html"
    stack.run("drift", "fraud", "--html", str(page))
    assert "<h2>Feedback</h2>" in page.read_text()


def test_any_window_can_be_asked_for() -> None:
    windows = [a_window(hour, said("champion", "1", brought(10 + hour))) for hour in range(3)]
    first, together = told(windows, START)
    assert (first.start, first.windows, together.windows) == (START, 1, 3)
    (alone,) = told(windows[:1])
    assert alone.windows == 1
    assert told([]) == ()
    assert told([a_window(0)]) == ()


def test_a_revision_replaces_what_it_counts_anew_and_keeps_who_was_served() -> None:
    late = a_window(0, said("champion", "1", brought(10, rows=ROWS + 50), None), revision=1)
    (stretch,) = told([a_window(0, said("champion", "1", brought(10))), late])
    assert (stretch.lines[0].worth.rows, stretch.lines[0].worth.predicted) == (ROWS + 50, 2 * ROWS)


def test_windows_that_overlap_are_not_added_up() -> None:
    """Of windows of three hours that slide by one, every third covers each row once."""
    windows = [a_window(hour, said("champion", "1", brought(10)), hours=3) for hour in range(7)]
    _, together = told(windows)
    assert (together.windows, together.start, together.end) == (3, START, START + 9 * HOUR_MS)


def test_few_windows_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "MOST_WINDOWS", 2)
    _, together = told([a_window(hour, said("champion", "1", brought(10))) for hour in range(9)])
    assert together.windows == 2


def test_too_few_rows_show_a_mean_without_interval() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    stack.say(topics.WINDOWS, a_window(0, said("champion", "1", brought(10, rows=3))))
    (value,) = orjson.loads(stack.run("drift", "fraud", "--json").stdout)["feedback"]
    mean = value["lines"][0]["mean"]
    assert (mean["lower"], mean["error"]) == (None, None)
    assert " to " not in stack.run("drift", "fraud").stdout.splitlines()[-1]
