"""A changed world: other inputs, other labels, or another bond between the two; and what only a season is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from everloop.events import ArmWindow, ColumnWindow, Detection, Evidence, Measure, QualityMeasure
from everloop.loop import Loop
from everloop.sketch import Labelled
from everloop_drift.domain.limits import Rules, share_drifted
from everloop_drift.domain.measures import measure
from everloop_drift.domain.realised import ERROR

LABELS: Final = "label_rate"
SIGNIFICANT: Final = 4.0
"""Standard errors of a change of the label rate: windows come in their hundreds."""
ODDS: Final = math.log(1.5)
"""ln of the factor of the odds of a positive label that is a change worth a word."""
MICRO: Final = 1e6
COLLAPSE: Final = 3.0
"""A fall of quality by so many times its limit is no erosion."""


def shifted(measures: Iterable[Measure]) -> Iterator[Evidence]:
    """The measures that were drift, largest first."""
    for one in sorted((one for one in measures if one.drifted), key=lambda one: -abs(one.value or 0.0)):
        yield Evidence(name=one.name, test=one.test, value=one.value, limit=one.limit)


def seasonal(arm: ArmWindow, loop: Loop) -> Iterator[Evidence]:
    """What is drift against the whole reference, while it is none against that of this time of the day or week."""
    rules, scores = Rules.of(loop), [arm.score] if arm.score else []
    held = rules.hold(measure(_whole(arm.columns)))
    of_scores = rules.hold_score(measure(_whole(scores)))
    by_columns = bool(held) and share_drifted(held) >= loop.drift.share
    if by_columns or any(one.drifted for one in of_scores):
        yield from shifted((*held, *of_scores))


def _whole(windows: Iterable[ColumnWindow]) -> list[ColumnWindow]:
    """Those that were compared with their hour, beside the whole reference."""
    return [one.model_copy(update={"reference": one.overall}) for one in windows if one.overall is not None]


def prior(seen: Labelled, quality: Mapping[str, QualityMeasure], reference: Mapping[str, float]) -> Iterator[Evidence]:
    """A share of positive labels other than that of the holdout, and than the scores of the same rows say.

    Where only the inputs moved, scores move with the labels and stay calibrated. Where the prior moved, the same inputs
    are positive more often, by one factor of the odds (label shift: Saerens, Latinne and Decaestecker 2002).
    """
    now, then = quality.get(LABELS), reference.get(LABELS)
    if now is None or then is None:
        return
    error = math.hypot(now.error, reference.get(LABELS + ERROR, 0.0))
    since, beside = _odds(now.value) - _odds(then), _odds(now.value) - _odds(mean_score(seen))
    if abs(now.value - then) >= SIGNIFICANT * error and min(abs(since), abs(beside)) >= ODDS and since * beside > 0:
        yield Evidence(name=LABELS, test="log_odds", value=since, limit=ODDS)
        yield Evidence(name="score", test="log_odds", value=beside, limit=ODDS)


def mean_score(seen: Labelled) -> float:
    """Mean of the scores of labelled rows of a binary model; NaN without any."""
    return float(seen.scores.calibration[0].sum()) / MICRO / seen.scores.rows if seen.scores.rows else math.nan


def _odds(share: float) -> float:
    """Logarithm of the odds; NaN where there are none, which no limit is held against."""
    return math.log(share / (1 - share)) if 0 < share < 1 else math.nan


def fallen(measures: Sequence[Measure]) -> Iterator[Evidence]:
    """The quality that fell."""
    for one in measures:
        if one.test == "quality_drop" and one.drifted:
            yield Evidence(name=one.name, test=one.test, value=one.value, limit=one.limit)


def collapsed(evidence: Sequence[Evidence]) -> bool:
    """Whether quality fell by far more than its limit."""
    return any(
        isinstance(one.value, float) and isinstance(one.limit, float) and one.value >= COLLAPSE * one.limit
        for one in evidence
    )


def heard(fired: Sequence[Detection]) -> Iterator[Evidence]:
    """The detectors that fired: mean errors after and before."""
    for one in fired:
        yield Evidence(name="errors", test=one.detector, value=one.after, limit=one.before)
