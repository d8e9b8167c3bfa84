"""`everloop drift`: the columns of a window, when an episode began, the page; names of producers are not trusted."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import orjson
import pytest

from everloop import events as e
from everloop import topics
from everloop.cli.drift import blocks, plain, started
from everloop.errors import UsageError
from everloop.story.drifting import MOST_BARS, episodes_of, histogram
from everloop_drift.domain import judging
from tests.builders import HOUR_MS, NOON, a_loop, a_version_created
from tests.unit.cli.turns import Stack, a_full_turn, a_stack, refusal
from tests.unit.drift.builders import START, a_profile, a_window, an_inputs_arm, compared, normal

HOSTILE = "<script>\x1b[31m\u202e&\"'"
ROWS = 600


def a_judged_stack(moved: list[float], *, importance: bool = True) -> Stack:
    """Windows as drift closes and judges them, of three columns, one of which nobody should have named so."""
    stack, loop = a_stack(), a_loop()
    stack.apply(loop)
    profile = a_profile(**{"amount": normal(1), "country": ["ch", HOSTILE] * 1000, HOSTILE: normal(2)})
    shares = {"amount": 0.2, "country": 0.1, HOSTILE: 0.7}
    state = judging.initial()
    for number, shift in enumerate(moved):
        columns = {
            "amount": normal(10 + number, ROWS, shift), "country": ["ch", HOSTILE] * (ROWS // 2),
            HOSTILE: normal(50 + number, ROWS, shift / 3),
        }  # fmt: skip
        arm = an_inputs_arm(profile, columns, np.random.default_rng(number).uniform(size=ROWS))
        if importance:
            weighed = (one.model_copy(update={"importance": shares[one.name]}) for one in arm.columns)
            arm = arm.model_copy(update={"columns": tuple(weighed)})
        window = a_window(number, arm if shift < 99 else an_inputs_arm(profile, {}, version="1"))
        said = judging.decide(state, window, NOON, loop, None)
        assert isinstance(said, e.WindowJudged)
        state = judging.evolve(state, said)
        stack.say(topics.WINDOWS, window)
        stack.say(topics.DRIFT, said)
    return stack


DRIFTED = [0.0] * 8 + [2.0] * 3


@pytest.fixture(scope="module")
def stack() -> Stack:
    return a_judged_stack(DRIFTED)


def test_columns_in_order_of_drift_x_importance_with_histograms(stack: Stack) -> None:
    head, reason, diagnosis, episode, _, names, *rows = stack.run("drift", "fraud").stdout.splitlines()
    assert head == "fraud version 1, 2026-01-05 22:00:00 to 2026-01-05 23:00:00, 600 rows: drifted"
    assert reason.startswith("drift.share ")
    assert diagnosis.startswith(
        "diagnosis: covariate_shift, the inputs, or the scores, are distributed differently: amount psi "
    )
    assert re.fullmatch(
        r"episode of drift continuing; it began 2026-01-05 \S+ \(95 %: 2026-01-05 \S+ to 2026-01-05 \S+\), "
        r"first bad window 2026-01-05 20:00:00", episode,
    )  # fmt: skip
    assert names.split()[:4] == ["COLUMN", "DRIFT", "IMPORTANCE", "SCORE"]
    assert [row.split()[0] for row in rows[:4]] == ["<script>�[31m�&\"'", "amount", "country", "(scores)"]
    assert "psi" in rows[1]
    assert "drifted" in rows[1]
    assert rows[1].rstrip()[-3:].count("█") == 1  # to the right; the reference is flat by its bins
    assert rows[5].startswith("EPISODE")
    assert rows[6].split()[:7] == ["drift", "covariate_shift", "1", "2026-01-05", "21:00:00", "–", "2"]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", "".join(rows))


def test_all_of_it_as_data(stack: Stack) -> None:
    value = orjson.loads(stack.run("drift", "fraud", "--json").stdout)
    assert value["window"]["change"]["first_bad"] == "2026-01-05 20:00:00"
    assert value["window"]["change"]["earliest"] <= "2026-01-05 20:00:00" <= value["window"]["change"]["latest"]
    assert [one["name"] for one in value["columns"]] == [HOSTILE, "amount", "country"]
    assert value["columns"][0]["importance"] == 0.7
    assert value["columns"][1]["drifted"] is True
    assert value["columns"][1]["measures"][0]["test"] == "psi"
    for one in (*value["columns"], value["score"]):
        seen = one["histogram"]
        assert sum(seen["reference"]) == pytest.approx(1)
        assert sum(seen["current"]) == pytest.approx(1)
        assert len(seen["labels"]) == len(seen["reference"]) == len(seen["current"]) <= MOST_BARS
    (episode,) = value["episodes"]
    assert (episode["kind"], episode["opened"], episode["closed"]) == ("drift", "2026-01-05 21:00:00", None)
    assert episode["change"] == value["window"]["change"]
    assert value["window"]["diagnosis"]["kind"] == episode["diagnosis"] == "covariate_shift"
    assert value["window"]["diagnosis"]["evidence"][0].keys() == {"name", "test", "value", "limit"}


def test_any_window_can_be_asked_for(stack: Stack) -> None:
    for start in ("2026-01-05 13:00:00", "2026-01-05T14:00:00+01:00", str(START + HOUR_MS)):
        value = orjson.loads(stack.run("drift", "fraud", "--window", start, "--json").stdout)
        assert value["window"]["start"] == "2026-01-05 13:00:00"
        assert (value["window"]["verdict"], value["window"]["change"]) == ("stable", None)
    assert "lists them" in refusal(stack.run("drift", "fraud", "--window", "2026-01-06"), 2)
    assert "such as" in refusal(stack.run("drift", "fraud", "--window", "yesterday"), 2)
    with pytest.raises(UsageError):
        started("²")


def a_seasonal_stack(why: str) -> Stack:
    """One window whose `amount` is compared with its hour, and whose scores with the whole reference."""
    stack, loop = a_stack(), a_loop()
    stack.apply(loop)
    profile = a_profile(amount=normal(1))
    arm = an_inputs_arm(profile, {"amount": normal(3, ROWS)}, np.random.default_rng(1).uniform(size=ROWS))
    near = arm.columns[0].model_copy(update={"overall": arm.columns[0].reference})
    window = a_window(0, arm.model_copy(update={"columns": (near,), "season": "hour_of_day"}))
    said = judging.decide(judging.initial(), window, NOON, loop, None)
    assert said is not None
    made = a_version_created("1")
    seasonal = made.profile.model_copy(update={"season": "hour_of_day", "season_why": why})
    stack.say(topics.TRAINING, made.model_copy(update={"profile": seasonal}))
    stack.say(topics.WINDOWS, window)
    stack.say(topics.DRIFT, said)
    return stack


@pytest.mark.parametrize(("why", "said"), [("shown", "the profile shows it"), ("loop", "the loop file says so")])
def test_it_says_what_is_compared_with_its_hour_and_why(why: str, said: str, tmp_path: Path) -> None:
    stack, path = a_seasonal_stack(why), tmp_path / "drift.html"
    lines = stack.run("drift", "fraud").stdout.splitlines()
    head = f"compared with the same hour of the day (UTC) of the reference: {said}; with the whole reference: scores"
    assert head in lines
    names, amount, scores = lines[lines.index("") + 1 :][:3]
    assert "AGAINST" in names.split()
    assert "  hour of the day  " in amount
    assert "  whole  " in scores
    value = orjson.loads(stack.run("drift", "fraud", "--json", "--html", str(path)).stdout)
    assert (value["window"]["season"], value["window"]["season_why"]) == ("hour_of_day", why)
    assert (value["columns"][0]["against"], value["score"]["against"]) == ("hour_of_day", "whole")
    page = Reading()
    page.feed(path.read_text(encoding="utf-8"))
    assert head in page.text
    assert "against" in page.text


def test_without_a_season_all_is_compared_with_the_whole(stack: Stack) -> None:
    value = orjson.loads(stack.run("drift", "fraud", "--json").stdout)
    assert (value["window"]["season"], value["window"]["season_why"]) == (None, None)
    assert {one["against"] for one in (*value["columns"], value["score"])} == {"whole"}
    assert "(UTC)" not in stack.run("drift", "fraud").stdout


class Reading(HTMLParser):
    """Tags in the order of their coming, what they point to, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone_and_trusts_no_name(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "drift.html"
    said = stack.run("drift", "fraud", "--html", str(path))
    assert (said.exit_code, said.stdout) == (0, f"{path}\n")
    text = path.read_text(encoding="utf-8")
    page = Reading()
    page.feed(text)
    assert set(page.tags) & {"script", "link", "img", "iframe", "object"} == set()
    assert page.names & {"src", "href", "style", "onload", "onclick"} == set()
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert page.tags.count("svg") == 5  # three columns, the scores, the course
    assert "<script>�[31m�&\"'" in page.text
    assert "\x1b" not in text
    assert "it began 2026-01-05" in page.text
    both = stack.run("drift", "fraud", "--html", str(path), "--json")
    assert orjson.loads(both.stdout)["model"] == "fraud"
    assert "cannot be written" in refusal(stack.run("drift", "fraud", "--html", str(tmp_path / "no" / "x")), 2)


def test_without_importance_it_says_so() -> None:
    said = a_judged_stack([0.0, 1.0], importance=False).run("drift", "fraud").stdout
    assert "importance of columns was not measured: all count the same" in said
    assert "EPISODE" not in said


def test_a_model_without_a_compared_window(tmp_path: Path) -> None:
    stack = a_stack()
    stack.apply(a_loop())
    assert stack.run("drift", "fraud").stdout == "fraud: no window was compared yet\n"
    value = orjson.loads(stack.run("drift", "fraud", "--json").stdout)
    assert value == {
        "model": "fraud", "window": None, "columns": [], "score": None, "outcome": None, "labels": None,
        "episodes": [], "feedback": [],
    }  # fmt: skip
    assert stack.run("drift", "fraud", "--html", str(tmp_path / "p")).exit_code == 0
    assert "known are fraud" in refusal(stack.run("drift", "froud"), 2)
    few = a_judged_stack([99.0])
    assert few.run("drift", "fraud").stdout == (
        "fraud: no window was compared yet; the last window, 2026-01-05 12:00:00, is too_few: "
        "windows.min_rows 0, limit 500 (set in: default)\n"
    )
    assert "too_few" in few.run("drift", "fraud", "--window", "2026-01-05 12:00").stdout


def test_a_journal_from_before_has_no_ranks_but_episodes() -> None:
    lines = a_full_turn().run("drift", "fraud").stdout.splitlines()
    assert lines[0].startswith("fraud: no window was compared yet; the last window, 2026-01-05 14:00:00, is drifted")
    assert lines[-1].split()[:5] == ["drift", "–", "1", "2026-01-05", "14:00:00"]


def test_a_window_whose_counts_are_gone_has_no_histograms(stack: Stack) -> None:
    bare = a_stack()
    bare.apply(a_loop())
    profile = a_profile(amount=normal(1))
    window = a_window(0, an_inputs_arm(profile, {"amount": normal(3, ROWS, 2.0)}))
    said = judging.decide(judging.initial(), window, NOON, a_loop(), None)
    assert said is not None
    bare.say(topics.DRIFT, said)
    assert bare.run("drift", "fraud").stdout.splitlines()[-1].split()[-3:] == ["–", "–", "–"]


def test_an_episode_ends_with_its_last_window() -> None:
    stack = a_judged_stack([0.0] * 3 + [2.0] * 3 + [0.0] * 2)
    (episode,) = orjson.loads(stack.run("drift", "fraud", "--json").stdout)["episodes"]
    assert (episode["opened"], episode["closed"], episode["windows"]) == (
        "2026-01-05 16:00:00", "2026-01-05 20:00:00", 4,
    )  # fmt: skip
    assert episode["change"]["first_bad"] == "2026-01-05 15:00:00"
    assert episodes_of([]) == ()


@pytest.mark.parametrize(
    "values",
    [normal(1), [5.0] * 9, [1.0, 2.0], [None] * 9, ["a"], [f"c{place}" for place in range(200)], [1.0] * 9 + [1e300]],
)
def test_any_column_has_at_most_sixteen_bars_that_lose_no_value(values: list[object]) -> None:
    window = compared(values, values)
    seen = histogram(window)
    assert 1 <= len(seen.labels) <= MOST_BARS
    assert len(set(seen.labels)) == len(seen.labels)
    assert sum(seen.reference) == pytest.approx(1 if any(window.reference.counts) else 0)
    assert seen.missing_current == (1 if values[0] is None else 0)


def test_the_outermost_bars_are_what_the_reference_never_had() -> None:
    seen = histogram(compared(normal(1), normal(2, 500, 9.0)))
    assert (seen.reference[0], seen.reference[-1]) == (0, 0)
    assert seen.current[-1] > 0.99
    assert seen.labels[0].startswith("below ")
    kinds = histogram(compared(["b", "a", "a"], ["c"]))
    assert (kinds.labels, kinds.current) == (("a", "b", "other"), (0, 0, 1))


def test_blocks_and_names() -> None:
    assert blocks((0.0, 0.01, 0.25, 0.5), 0.5) == " ▁▅█"
    assert plain("a\x00b\u200bc\nd é") == "a�b�c�d é"
