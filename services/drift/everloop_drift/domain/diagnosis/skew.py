"""Serving gives a first version other inputs than it learnt from: it was so from the first window on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from everloop.events import Evidence
from everloop_drift.domain.diagnosis.columns import Column, evidence

OUTSIDE: Final = 0.25
"""Share of values that the reference never had."""
LEAST: Final = 2
SCORES: Final = 0.5
"""PSI of the scores that no column explains: more than twice what is drift elsewhere."""


def skewed(columns: Sequence[Column], score: Mapping[str, float]) -> Iterator[Evidence]:
    """What says that the served columns are not the learnt ones: half of them, and two at least, lie elsewhere.

    A date lies outside by nature; it is one column of many. Or the scores are others while every column is the same.
    """
    varied = [one for one in columns if one.varied]
    outside = [one for one in varied if (one.now.outside or 0.0) >= OUTSIDE]
    if len(outside) >= LEAST and 2 * len(outside) >= len(varied):
        for one in sorted(outside, key=lambda one: -(one.now.outside or 0.0)):
            test = "out_of_range" if one.window.kind == "numeric" else "unseen"
            yield evidence(one, test, one.now.outside, OUTSIDE)
    elif columns and score.get("psi", 0.0) >= SCORES and not any(one.moved for one in columns):
        yield Evidence(name="score", test="psi", value=score["psi"], limit=SCORES)
