"""What one look at the arms says: the measures of a rollout, their limits, and who is compared with whom. Pure.

Measured apart from deciding: `evidence` and `sequential` hold the statistics. Rates (errors) start anew with each span,
so that a fault which begins at a step is not diluted by the steps before; differences (scores, labels) are stratified
over spans. Alpha is shared over both (Bonferroni). Latency is wall time: it is reported, and decides only where the
loop file sets `rollout.abort.latency_p95`.

To go on, a rollout needs each measure to see enough, and none to see harm; of the two measures of labels one is enough.
A comparison may stay blind with many rows: where a few entities make most of the traffic, they carry the spread, and
the interval is infinite. A blind measure holds (DESIGN rule 9), and at the deadline the candidate goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from everloop import events as e
from everloop.loop import Loop
from everloop.sketch import ArmSums
from everloop_rollout.domain import sequential
from everloop_rollout.domain.evidence import BucketSums, Difference, one_sample, rate, rates, stratified
from everloop_rollout.domain.phases import CANDIDATE, CHAMPION, SHADOW, Arms, Rollout
from everloop_rollout.domain.sequential import Look, Rule, Verdict, combine, look

ALPHA = 0.05
"""Chance, at most, that a rollout of a candidate exactly at a limit is aborted, over all looks, measures and steps."""
MEASURES = 7
"""Measures that can abort: share of alpha that each has."""
ERRORS_MARGIN = 0.5
"""Part of `rollout.abort.error_rate` by which the candidate may exceed the concurrent champion."""
SCORE_SHIFT = 0.05
"""Largest shift between a candidate and its own shadow: of a probability; of a number, as part of its mean."""
LOSS_MARGIN = 0.05
"""Part of the champion's label loss by which the candidate's may be larger."""
SMALLEST = 1e-6
"""A limit of nothing cannot be tested; this is its stand-in, in units of the measure."""
Of = Callable[[ArmSums], BucketSums]


def arms_of(window: e.WindowClosed, champion: str, candidate: str) -> Arms:
    """The sums of the arms that matter; an arm of another version, or without sums, is left out."""
    versions = {CHAMPION: champion, CANDIDATE: candidate, SHADOW: candidate}
    found = (arm for arm in window.arms if versions.get(arm.arm) == arm.version and arm.buckets)
    return {arm.arm: ArmSums.from_plain(arm.buckets) for arm in found}


def merged(one: Arms, other: Arms) -> Arms:
    """Add two sets of arms, arm by arm."""
    names = [*one, *(name for name in other if name not in one)]
    return {name: one.get(name, ArmSums.empty()).merge(other.get(name, ArmSums.empty())) for name in names}


def plain(span: int, arms: Arms) -> dict[str, JsonValue]:
    """Evidence of one span as JSON, so that the fold can continue from the journal alone."""
    return {"span": span, "arms": {arm: _json(sums) for arm, sums in sorted(arms.items())}}


def look_at(live: Rollout, kind: str, span: int, arms: Arms, loop: Loop) -> tuple[tuple[e.Look, ...], Verdict]:
    """Look at all measures of one span, `arms` being its evidence up to now; the verdict of those that decide."""
    spans = {number: kept for (number, of), kept in live.evidence.items() if of == kind} | {span: arms}
    every = [spans[number] for number in sorted(spans)]
    if kind == "outcomes":
        looks = _labels(every, loop)
        return _said(looks), _of_labels(looks)
    looks = _shadow(arms, loop) if span == 0 else _canary(arms, every, loop, shadowed=live.shadowed)
    return (*_said(looks), *_reported(every)), combine(looks)


def watch(arms: Arms, loop: Loop) -> e.Look:
    """The new champion's errors against the absolute limit; there is no other arm to compare with."""
    rule = replace(_rule(loop, "rollout.abort.error_rate", loop.rollout.abort.error_rate), alpha=ALPHA)
    return _said([look("errors", rate(_errors(arms.get(CHAMPION))), rule)])[0]


def _shadow(arms: Arms, loop: Loop) -> list[Look]:
    """A copy that got no score has failed: nothing else can be seen of a version that nobody is served by."""
    sums = arms.get(SHADOW)
    failed = BucketSums.counted(_ints(sums.rows), _ints(sums.rows - sums.scored)) if sums else BucketSums()
    rule = _rule(loop, "rollout.abort.error_rate", loop.rollout.abort.error_rate)
    return [look("shadow_failures", rate(failed), rule)]


def _canary(arms: Arms, spans: Sequence[Arms], loop: Loop, *, shadowed: bool) -> list[Look]:
    limit, steps = loop.rollout.abort, len(loop.rollout.steps)
    served, champion = _errors(arms.get(CANDIDATE)), _errors(arms.get(CHAMPION))
    absolute = _rule(loop, "rollout.abort.error_rate", limit.error_rate, steps)
    beside = _rule(loop, "half of rollout.abort.error_rate", limit.error_rate * ERRORS_MARGIN, steps)
    looks = [look("errors", rate(served), absolute), look("errors_vs_champion", rates(served, champion), beside)]
    if shadowed:
        looks.append(_scores(spans, loop))
    if limit.latency_p95 is not None:
        slow = _rule(loop, "rollout.abort.latency_p95", limit.latency_p95.total_seconds())
        looks.append(look("mean_latency", one_sample(_total(spans, CANDIDATE, _seconds)), slow))
    return looks


def _scores(spans: Sequence[Arms], loop: Loop) -> Look:
    """The candidate against its own shadow on the champion's rows: one model, two shares of the same traffic."""
    shadow = one_sample(_total(spans, SHADOW, _score))
    scale = abs(shadow.estimate) if shadow and loop.task == "regression" else 1.0
    rule = replace(_rule(loop, "score_shift", SCORE_SHIFT * scale), worse="either")
    return look("score_vs_own_shadow", _compared(spans, CANDIDATE, SHADOW, _score), rule)


def _labels(spans: Sequence[Arms], loop: Loop) -> list[Look]:
    """Label loss against the champion: the candidate's own rows, and its shadow's on the very rows of the champion."""
    champion = one_sample(_total(spans, CHAMPION, _label_loss))
    rule = _rule(loop, "label_loss_margin", LOSS_MARGIN * champion.estimate if champion else 0.0)
    named = (("label_loss", CANDIDATE), ("shadow_label_loss", SHADOW))
    return [
        look(name, _compared(spans, arm, CHAMPION, _label_loss), rule)
        for name, arm in named
        if any(arm in arms for arms in spans)
    ]


def _of_labels(looks: Sequence[Look]) -> Verdict:
    """Both ask whether labels are worse, of other rows: any abort aborts, and one that sees enough is enough."""
    combined = combine(looks)
    return "advance" if combined == "hold" and any(one.verdict == "advance" for one in looks) else combined


def _reported(spans: Sequence[Arms]) -> tuple[e.Look, ...]:
    """Latency in seconds per row, candidate minus champion: without a limit, so it decides nothing."""
    found = _compared(spans, CANDIDATE, CHAMPION, _seconds)
    if found is None:
        return ()
    one = e.Look(
        measure="latency_vs_champion", estimate=found.estimate, lower=None, upper=None, limit=None, verdict="hold",
        rule="reported", samples=min(found.rows_candidate, found.rows_champion),
    )  # fmt: skip
    return (one,)


def _rule(loop: Loop, name: str, limit: float, spans: int = 1) -> Rule:
    """`must_prove` is off: enough rows without harm are enough, since the gate has proven the version's worth."""
    alpha = sequential.share(ALPHA, MEASURES, spans)
    return Rule(name, max(limit, SMALLEST), alpha, min_rows=loop.rollout.min_rows, must_prove=False)


def _said(looks: Sequence[Look]) -> tuple[e.Look, ...]:
    return tuple(e.Look.model_validate(asdict(one)) for one in looks)


def _compared(spans: Sequence[Arms], one: str, other: str, of: Of) -> Difference | None:
    empty = ArmSums.empty()
    return stratified([(of(arms.get(one, empty)), of(arms.get(other, empty))) for arms in spans])


def _total(spans: Sequence[Arms], arm: str, of: Of) -> BucketSums:
    return sum((of(arms[arm]) for arms in spans if arm in arms), BucketSums())


def _errors(sums: ArmSums | None) -> BucketSums:
    return BucketSums.counted(_ints(sums.rows), _ints(sums.errors)) if sums else BucketSums()


def _seconds(sums: ArmSums) -> BucketSums:
    return BucketSums(_ints(sums.rows), _ints(sums.latency_us))


def _score(sums: ArmSums) -> BucketSums:
    return BucketSums(_ints(sums.scored), _ints(sums.score_e6))


def _label_loss(sums: ArmSums) -> BucketSums:
    return BucketSums(_ints(sums.labelled), _ints(sums.loss_e6))


def _json(sums: ArmSums) -> dict[str, JsonValue]:
    return {bucket: list[JsonValue](cells) for bucket, cells in sums.to_plain().items()}


def _ints(numbers: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(numbers.tolist())
