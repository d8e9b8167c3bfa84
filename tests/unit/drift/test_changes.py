"""When an episode began: found where it was, with an interval that holds it about as often as it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from everloop import events as e
from everloop_drift.domain import changes, judging
from everloop_drift.domain.changes import MOST_BEFORE, MOST_STRETCHES, stretches
from everloop_drift.domain.cuts import LEAST, SLOPES, Figure, autocorrelation, autoregressive, cut
from everloop_drift.domain.episodes import Step
from tests.builders import HOUR_MS
from tests.unit.drift.builders import START, a_profile, a_window, an_inputs_arm, normal
from tests.unit.drift.test_judging import Judge, a_judge, arm, hear_outcomes, outcomes

STEP = 1000


def figures(values: list[float], *, length: int = STEP) -> list[Figure]:
    """One after the other, a step apart."""
    return [Figure(place * STEP, place * STEP + length, value) for place, value in enumerate(values)]


def a_sequence(seed: int, before: int, after: int, rise: float, correlation: float = 0.0) -> tuple[list[float], float]:
    """Noise of deviation 1 that rises in the middle of some figure; and when that was."""
    chance = np.random.default_rng([seed, before, after])
    noise = autoregressive(chance.normal(size=(1, before + after)), correlation)[0]
    part = float(chance.uniform())
    share = np.clip(np.arange(before + after) + 1 - before - part, 0, 1)
    return (noise + rise * share).tolist(), (before + part) * STEP


# ------------------------------------------------------------------------------------------------------------ one cut


def by_brute_force(values: list[float], last: int) -> float:
    """When the change begins whose line is nearest, of all steps and slopes, drawn at a hundred times a figure."""
    fine = (np.arange(100 * len(values)) + 0.5) * STEP / 100
    found = []
    for length in SLOPES:
        for at in np.arange(STEP, last * STEP, STEP / 4):
            shape = np.clip((fine - at) / (length * STEP or 1e-9), 0, 1).reshape(-1, 100).mean(axis=1)
            if length and shape[-1] < 0.5:
                continue
            design = np.column_stack([np.ones(len(values)), shape])
            levels = np.linalg.lstsq(design, np.array(values), rcond=None)[0]
            left = np.array(values) - design @ levels
            found.append((float((left**2).sum()) if levels[1] > 0 else np.inf, float(at)))
    return min(found)[1]


@pytest.mark.parametrize("seed", range(3))
def test_the_change_is_where_least_squares_puts_it(seed: int) -> None:
    values, _ = a_sequence(seed, 20, 12, 4.0)
    found = cut(figures(values), 24, seed=1)
    assert found is not None
    assert found.at == by_brute_force(values, 24)
    assert found.before == pytest.approx(np.mean(values[:20]), abs=0.6)
    assert found.after == pytest.approx(np.mean(values[21:]), abs=1.2)


def test_a_change_without_noise_is_found_to_a_quarter_of_a_figure() -> None:
    found = cut(figures([1.0] * 8 + [1.5] + [2.0] * 7), 16, seed=1)
    assert found is not None
    assert (found.at, found.earliest, found.latest) == (8500, 8250, 8750)
    assert [found.before, found.after] == pytest.approx([1, 2])


def test_weights_count() -> None:
    odd = figures([0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.5, 0.5, 0.5, 0.5])
    weighed = [one._replace(weight=1.0 if place == 2 else 500.0) for place, one in enumerate(odd)]
    found = cut(weighed, 10, seed=1)
    assert found is not None
    assert (found.at, round(found.before, 2)) == (6000, 0.1)


def test_it_began_no_later_than_it_was_seen_and_nothing_is_found_in_a_fall() -> None:
    values, _ = a_sequence(3, 10, 20, 4.0)
    found = cut(figures(values), 6, seed=1)
    assert found is None or found.latest <= 6 * STEP
    assert cut(figures([5.0] * 9 + [1.0] * 9), 18, seed=1) is None
    assert cut(figures([1.0] * 9), 9, seed=1) is None
    assert cut(figures([0.0] * (LEAST - 2) + [1.0]), LEAST - 1, seed=1) is None
    assert cut(figures([0.0, *[1.0] * 9]), 1, seed=1) is None


def test_without_a_change_the_interval_is_wide() -> None:
    wide = 0
    for seed in range(20):
        values, _ = a_sequence(seed, 20, 20, 0.0)
        found = cut(figures(values), 40, seed=seed)
        wide += found is None or found.latest - found.earliest > 20 * STEP
    assert wide >= 16


@pytest.mark.parametrize(
    ("before", "after", "rise", "correlation", "widest"),
    [(24, 4, 5.0, 0.0, 4), (12, 12, 4.0, 0.0, 5), (30, 6, 5.0, 0.5, 6), (5, 2, 8.0, 0.0, 4)],
)
def test_the_interval_holds_the_change(before: int, after: int, rise: float, correlation: float, widest: int) -> None:
    held, widths = 0, []
    for seed in range(50):
        values, true = a_sequence(seed, before, after, rise, correlation)
        found = cut(figures(values), before + 2, seed=seed)
        assert found is not None
        held += found.earliest <= true <= found.latest
        widths.append(found.latest - found.earliest)
    assert held >= 45
    assert np.median(widths) <= widest * STEP


def test_the_interval_holds_the_begin_of_a_slope() -> None:
    held, late = 0, []
    for seed in range(40):
        chance = np.random.default_rng(seed)
        level = np.concatenate([np.zeros(20), np.linspace(0, 8, 9)[1:], np.full(6, 8.0)])
        found = cut(figures((level + chance.normal(size=len(level))).tolist()), 24, seed=seed)
        assert found is not None
        held += found.earliest <= 20 * STEP <= found.latest
        late.append(found.at - 20 * STEP)
    assert held >= 36
    assert abs(np.median(late)) <= STEP


def test_a_larger_change_has_a_shorter_interval() -> None:
    def width(rise: float) -> float:
        found = [cut(figures(a_sequence(seed, 20, 8, rise)[0]), 22, seed=seed) for seed in range(15)]
        return float(np.mean([one.latest - one.earliest if one else 22 * STEP for one in found]))

    assert width(8.0) < width(4.0) < width(2.0)


def test_windows_that_overlap_are_of_both_levels_by_their_time() -> None:
    held = 0
    for seed in range(30):
        values, _ = a_sequence(seed, 43, 20, 6.0)
        noise = np.convolve(values, np.ones(4) / 4, "valid").tolist()  # each window is four steps long
        true = a_sequence(seed, 43, 20, 6.0)[1]
        found = cut(figures(noise, length=4 * STEP), 43, seed=seed)
        held += found is not None and found.earliest <= true <= found.latest
    assert held >= 26


def test_autocorrelation_is_estimated_without_its_bias() -> None:
    chance = np.random.default_rng(2)
    for correlation in (0.2, 0.5):
        made = autoregressive(chance.normal(size=(400, 60)), correlation)
        found = [autocorrelation(one - one.mean()) for one in made]
        assert np.mean(found) == pytest.approx(correlation, abs=0.06)
        assert made.std() == pytest.approx(1, abs=0.05)
    assert autocorrelation(np.zeros(9)) == 0
    assert autocorrelation(np.arange(-20.0, 21.0)) == 0.8


# ---------------------------------------------------------------------------------------------------------- the judge


def shifts(judge: Judge, moved: list[float]) -> list[e.WindowJudged]:
    return judge.hear_all([a_window(number, arm(shift)) for number, shift in enumerate(moved)])


def test_every_window_of_an_open_episode_says_when_it_began() -> None:
    said = shifts(a_judge(), [0.0] * 8 + [3.0] * 4 + [0.0] * 2)
    assert [one.change is not None for one in said] == [False] * 9 + [True] * 4 + [False]
    began = START + 8 * HOUR_MS
    for one in said[9:12]:
        assert one.change is not None
        assert one.change.first_bad == began
        assert abs(one.change.at - began) <= HOUR_MS // 4
        assert one.change.earliest <= began <= one.change.latest
        assert one.change.latest - one.change.earliest <= HOUR_MS
        assert (one.change.before or 0) < 0.1 < one.change.after <= 1
    assert said[9].change_at == began  # what the trainer goes by stays as it was


def test_a_replay_and_another_replica_say_the_same() -> None:
    judge = a_judge()
    said = shifts(judge, [0.0] * 8 + [3.0] * 4)
    folded = judging.initial()
    for one in said:
        folded = judging.evolve(folded, e.WindowJudged.model_validate_json(one.model_dump_json()))
    assert folded == judge.state
    window = a_window(12, arm(3.0))
    assert Judge(judge.loop, folded).hear(window) == judge.hear(window)


def test_too_few_windows_leave_it_open_from_the_first_to_the_first_bad_one() -> None:
    (_, opened) = shifts(a_judge(), [3.0, 3.0])
    assert opened.change is not None
    assert opened.change.after > 0.3
    assert opened.change == e.ChangePoint(
        at=START, earliest=START, latest=START + HOUR_MS, first_bad=START, after=opened.change.after
    )
    (*_, late) = shifts(a_judge(), [0.0, 0.0, 3.0, 3.0])
    assert late.change is not None
    assert (late.change.earliest, late.change.latest) == (START, START + 3 * HOUR_MS)
    assert (late.change.before or 0) < late.change.after


def test_what_is_remembered_is_bounded_and_an_episode_keeps_what_was_before_it() -> None:
    judge = a_judge()
    said = shifts(judge, [0.0] * 3 + [3.0, 3.0])
    trail, quiet = changes.Trail(), said[0]
    for number in range(MOST_BEFORE + 20):
        moved = {"start": START + number * HOUR_MS, "end": START + (number + 1) * HOUR_MS}
        trail = changes.follow(trail, quiet.model_copy(update=moved))
    assert len(trail.figures) == MOST_BEFORE
    assert trail.figures[-1].start == START + (MOST_BEFORE + 19) * HOUR_MS
    opened = replace(trail, first_bad=START)
    for _ in range(3 * MOST_BEFORE):
        opened = changes.follow(opened, quiet)
    assert len(opened.figures) == 2 * MOST_BEFORE
    assert opened.figures[:MOST_BEFORE] == trail.figures
    assert changes.follow(opened, said[4].model_copy(update={"episode": e.Episode.CLOSED})) == changes.Trail()


def test_windows_that_were_not_compared_leave_no_figure_and_a_promotion_starts_anew() -> None:
    judge = a_judge()
    shifts(judge, [0.0, 0.0])
    judge.hear(a_window(2, arm(rows=50)))
    assert [one.start for one in judge.state.inputs_trail.figures] == [START, START + HOUR_MS]
    judge.hear(a_window(3, arm(version="2")))
    judge.hear(a_window(4, arm(version="2")))
    assert [one.start for one in judge.state.inputs_trail.figures] == [START + 4 * HOUR_MS]


def test_a_journal_from_before_says_it_from_its_own_windows() -> None:
    judge = a_judge()
    said = shifts(judge, [0.0] * 8 + [3.0, 3.0])
    folded = judging.initial()
    for one in said:
        folded = judging.evolve(folded, one.model_copy(update={"change": None, "ranking": ()}))
    window = a_window(10, arm(3.0))
    assert Judge(judge.loop, folded).hear(window) == judge.hear(window)


def test_a_stream_that_does_not_reach_back_any_more_leaves_what_was_said() -> None:
    known = e.ChangePoint(at=START, earliest=START, latest=START + HOUR_MS, first_bad=START, before=0.1, after=0.3)
    trail = changes.Trail(first_bad=START, change=known)
    after = Step(e.Episode.CONTINUING, e.named_id("Any", "episode"))
    window = a_window(80, kind="outcomes")
    points = [(START + place * HOUR_MS, 10, 3, 3_000_000) for place in range(1, 81)]
    assert changes.of_quality(trail, window, points, after) == known
    assert changes.of_quality(trail, window, [(START, 10, 1, 1_000_000), *points], after) != known
    assert changes.of_quality(trail, window, (), after) == known
    assert changes.of_quality(trail, window, points, Step(e.Episode.CLOSED)) is None


def test_an_episode_of_quality_says_it_from_the_stream_of_errors() -> None:
    said = hear_outcomes(a_judge(), [1.0] * 6 + [0.2, 0.2, 0.2])
    assert [one.change is not None for one in said] == [False] * 7 + [True] * 2
    began = START + 6 * HOUR_MS
    for one in said[7:]:
        assert one.change is not None
        assert one.change.earliest <= began <= one.change.latest
        assert one.change.latest - one.change.earliest <= HOUR_MS // 4
        assert one.change.first_bad == began
        assert (one.change.before or 1) < one.change.after


def test_a_long_stream_is_looked_at_in_stretches() -> None:
    points = tuple((place * STEP, 10, 1, 10 * place * 1000) for place in range(1000))
    found = stretches(points)
    assert len(found) <= MOST_STRETCHES
    assert sum(one.weight for one in found) == 10_000
    assert (found[0].start, found[-1].end) == (0, 1000 * STEP)
    assert found[0].value == pytest.approx(np.mean(np.arange(11)) / 1000)
    assert stretches(points[:3])[1] == Figure(STEP, 2 * STEP, 0.001, 10)
    assert stretches(()) == ()


def test_a_concept_change_without_labels_before_says_what_is_known() -> None:
    judge = a_judge(drift={"confirm": 1})
    said = judge.hear(a_window(0, outcomes(0.2), kind="outcomes"))
    assert said.change is not None
    assert (said.change.first_bad, said.change.earliest) == (START, START)


# ---------------------------------------------------------------------------------------------- through the whole judge

ROWS = 600
BEFORE, AFTER = 20, 4


def moved_within_a_window(seed: int, shift: float) -> tuple[e.ChangePoint | None, float]:
    """What is said at last of an amount that moves within the 21st window; and when that was (ms)."""
    chance, judge = np.random.default_rng([seed, int(100 * shift)]), a_judge()
    profile = a_profile(amount=normal(1), other=normal(2), country=["ch", "de"] * 1000)
    part, said = float(chance.uniform()), None
    for number in range(BEFORE + AFTER):
        still = part if number == BEFORE else float(number < BEFORE)
        columns = {
            "amount": chance.normal(size=ROWS) + shift * (np.arange(ROWS) >= ROWS * still),
            "other": chance.normal(size=ROWS), "country": chance.choice(["ch", "de"], ROWS).tolist(),
        }  # fmt: skip
        window = a_window(number, an_inputs_arm(profile, columns, chance.uniform(size=ROWS)))
        said = judge.hear(window).change or said
    return said, START + (BEFORE + part) * HOUR_MS


def coverage(shift: float, runs: int) -> float:
    """How often the interval holds the change."""
    held = 0
    for seed in range(runs):
        said, true = moved_within_a_window(seed, shift)
        held += said is not None and said.earliest <= true <= said.latest
    return held / runs


def test_the_interval_of_the_judge_holds_the_change() -> None:
    assert coverage(0.8, 12) >= 0.9


@pytest.mark.soak
@pytest.mark.parametrize("shift", [0.6, 0.8, 1.2])
def test_the_interval_of_the_judge_holds_the_change_in_many_runs(shift: float) -> None:
    assert coverage(shift, 300) >= 0.9
