"""`everloop drift` shows coverage and quality of labels by segment: as a table, as data, and on the page."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import orjson
import pytest

from everloop import events as e
from everloop import topics
from everloop.story.drifting import labelled_of
from everloop_drift.domain import judging
from tests.builders import NOON, a_fresh_id, a_loop
from tests.unit.cli.turns import Stack, a_stack
from tests.unit.drift.builders import a_window
from tests.unit.drift.quality_segmented import a_profile_of, an_arm, some_rows

MANY, EACH = 20, 500
HOSTILE = "<b>\x1b[31m"


def a_labelled_stack(*windows: tuple[str, ...]) -> Stack:
    """Windows of outcomes as they are closed and judged; the shops named in each have labels of the other class."""
    stack, loop, state = a_stack(), a_loop(windows={"every": "1h", "min_rows": EACH}), judging.initial()
    stack.apply(loop)
    rng = np.random.default_rng(4)
    profile = a_profile_of(some_rows(rng, MANY, 300), MANY)
    for number, flipped in enumerate(windows):
        arm = an_arm(profile, some_rows(rng, MANY, EACH, flipped=flipped), coverage=0.8, window=number)
        hostile = arm.outcomes[0].model_copy(update={"value": HOSTILE})
        arm = arm.model_copy(update={"outcomes": (hostile, *arm.outcomes[1:])})
        window = a_window(number, arm, kind="outcomes")
        said = judging.decide(state, window, NOON, loop, None)
        assert isinstance(said, e.WindowJudged)
        state = judging.evolve(state, said)
        stack.say(topics.WINDOWS, window)
        stack.say(topics.DRIFT, said)
    return stack


@pytest.fixture(scope="module")
def stack() -> Stack:
    return a_labelled_stack((), ("s07",))


def test_each_segment_has_a_line_with_its_coverage_beside_its_quality(stack: Stack) -> None:
    shown = stack.run("drift", "fraud").output
    assert "labels of 2026-01-05 13:00:00 to 2026-01-05 14:00:00: coverage 80.0%" in shown
    (whole,) = [line for line in shown.splitlines() if line.startswith("(all rows)")]
    assert str(MANY * EACH) in whole
    (line,) = [line for line in shown.splitlines() if " s07 " in line]
    assert " 500 " in line
    assert " 80.0% " in line
    assert "\x1b" not in shown


def test_the_same_as_data(stack: Stack) -> None:
    labels = orjson.loads(stack.run("drift", "fraud", "--json").output)["labels"]
    assert (labels["start"], labels["coverage"]) == ("2026-01-05 13:00:00", pytest.approx(0.8))
    assert {"needed", "p50", "p95"} <= labels.keys()
    (fallen,) = [one for one in labels["segments"] if one["value"] == "s07"]
    assert (fallen["rows"], fallen["predicted"], fallen["coverage"]) == (500, 625, 0.8)
    assert fallen["quality"]["value"] < fallen["quality"]["reference"]


def test_the_page_has_them_and_trusts_no_value(stack: Stack, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    stack.run("drift", "fraud", "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert "<h2>Labels by segment</h2>" in text
    assert "<td>s07</td>" in text
    assert HOSTILE not in text
    assert "&lt;b&gt;" in text


def test_without_segments_nothing_is_said_of_them() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    assert "labels of" not in stack.run("drift", "fraud").output
    assert orjson.loads(stack.run("drift", "fraud", "--json").output)["labels"] is None


def judged(kind: Literal["inputs", "outcomes"], start: int, revision: int = 0, *values: str) -> e.WindowJudged:
    none = e.Episode.NONE
    segments = (
        e.SegmentJudged(column="shop", value=one, rows=1, verdict="unjudged", episode=none) for one in values
    )  # fmt: skip
    return e.WindowJudged(
        id=a_fresh_id(), time=NOON, model="fraud", kind=kind, start=start, end=start + 1, revision=revision,
        version="1", verdict="stable", measures=(), reason=e.Reason(rule="none"), episode=none, rows=1,
        segments=tuple(segments),
    )  # fmt: skip


def test_the_window_that_is_asked_for_or_the_last_as_it_was_judged_last() -> None:
    found = [
        judged("inputs", 9, 0, "a"), judged("outcomes", 1, 0, "b"), judged("outcomes", 2, 0, "c"),
        judged("outcomes", 2, 1, "d"), judged("outcomes", 3),
    ]  # fmt: skip
    assert labelled_of(found, None) is found[3]
    assert labelled_of(found, 1) is found[1]
    assert labelled_of(found, 3) is None
    assert labelled_of([], None) is None
