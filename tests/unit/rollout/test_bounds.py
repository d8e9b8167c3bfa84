"""An honest canary gets its bounds: what a step of the example sees is enough for its scores to be compared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from everloop.buckets import BUCKETS, buckets, unit_interval
from everloop_rollout.domain.evidence import MICRO, BucketSums, Floats, difference
from everloop_rollout.domain.looking import ALPHA, MEASURES, SCORE_SHIFT
from everloop_rollout.domain.sequential import Look, Rule, look, share
from examples.fraud.stream import Scenario
from examples.fraud.world import CARDS, World, cards, draw, probability

ROLLOUTS = 60
WEIGHT = 0.1
MIN_ROWS = 100
"""The first step and `rollout.min_rows` of the example's loop file."""
NAMES = [f"card-{index:04d}" for index in range(CARDS)]
BUCKET = buckets(NAMES)


def sums(card: np.ndarray, scores: Floats) -> BucketSums:
    """Rows and scores per bucket."""
    rows = np.bincount(BUCKET[card], minlength=BUCKETS)
    total = np.bincount(BUCKET[card], weights=np.rint(scores * MICRO), minlength=BUCKETS).astype(int)
    return BucketSums(tuple(rows.tolist()), tuple(total.tolist()))


def looks(seed: int) -> Iterator[Look]:
    """The looks at the scores of one canary, window by window, of a candidate that knows the new world."""
    rng, world, rows = np.random.default_rng(seed), World(shifted=True, changed=True), Scenario().rows_per_window
    owned, served = cards(rng), np.array([unit_interval(name, f"fraud/{seed}") < WEIGHT for name in NAMES])
    rule = Rule("score_shift", SCORE_SHIFT, share(ALPHA, MEASURES), worse="either", min_rows=MIN_ROWS, must_prove=False)
    candidate = shadow = BucketSums()
    while True:
        card = rng.integers(0, CARDS, rows)
        scores = probability(draw(rng, card, owned, world), world)
        candidate += sums(card[served[card]], scores[served[card]])
        shadow += sums(card[~served[card]], scores[~served[card]])
        yield look("score_vs_own_shadow", difference(candidate, shadow), rule)


def test_scores_have_bounds_by_the_third_window_and_mostly_at_once() -> None:
    first = [next(looks(seed)).verdict for seed in range(ROLLOUTS)]
    assert first.count("abort") == 0
    assert first.count("hold") <= 0.05 * ROLLOUTS
    for seed, verdict in enumerate(first):
        canary = looks(seed)
        assert "advance" in {verdict, *(next(canary).verdict for _ in range(3))}, f"seed {seed} stays blind"
