"""What kind of change a window shows: each kind with its family, and whether a successor could learn it.

Broken data is repaired, not learnt: it vetoes training until it ends. A season comes back by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "missing_spike",
    "unit_change",
    "constant",
    "schema",
    "stale_feed",
    "train_serve_skew",
    "covariate_shift",
    "prior_shift",
    "concept_change",
    "season",
    "quality_loss",
]
FaultKind = Literal[
    "schema_drift", "reference_invalid", "missing_spike", "unit_change", "constant", "stale_feed", "train_serve_skew"
]
Family = Literal["data", "world", "season", "quality"]


@dataclass(frozen=True, slots=True)
class Sort:
    """What a kind of change is: its family, and one sentence about it."""

    family: Family
    sentence: str

    @property
    def learnable(self) -> bool:
        """Whether a successor that learns from these rows is better for it."""
        return self.family in {"world", "quality"}


SORTS: Final[Mapping[Kind, Sort]] = {
    "missing_spike": Sort("data", "values are missing, not finite or of another type far more often than before"),
    "unit_change": Sort("data", "values came in another unit or scale, or with the other sign"),
    "constant": Sort("data", "a column that used to vary has one value"),
    "schema": Sort("data", "columns came, went or changed their type, or all categories of a column are new"),
    "stale_feed": Sort("data", "the feed repeats rows that it has sent before"),
    "train_serve_skew": Sort("data", "a first version was never served what it learnt from"),
    "covariate_shift": Sort("world", "the inputs, or the scores, are distributed differently"),
    "prior_shift": Sort("world", "another share of labels is positive, and the scores rank as well as before"),
    "concept_change": Sort("world", "the same inputs lead to other labels"),
    "season": Sort("season", "other than the whole reference, and as the reference at this time of the day or week"),
    "quality_loss": Sort("quality", "quality on labels has fallen, and neither inputs nor errors show a change"),
}
FAULT_OF: Final[Mapping[Kind, FaultKind]] = {
    "missing_spike": "missing_spike",
    "unit_change": "unit_change",
    "constant": "constant",
    "schema": "schema_drift",
    "stale_feed": "stale_feed",
    "train_serve_skew": "train_serve_skew",
}
"""The fault that broken data of a kind is: it begins and ends, while kinds are said window by window."""
DATA_FAULTS: Final[frozenset[FaultKind]] = frozenset(FAULT_OF.values())
"""Faults that veto training. A reference that is none is no fault of the data: a new version mends it."""


def is_broken(kind: Kind) -> bool:
    """Whether this kind of change is broken data."""
    return SORTS[kind].family == "data"
