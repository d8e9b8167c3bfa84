"""What is logged of scored rows: one record per arm, as columns (DESIGN section 3). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

from everloop.events import ArmPlan, PredictionsLogged, ShadowScores

Cell = float | str | bool | None


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to be scored, as columns of equal length. `times` are milliseconds since 1970 (UTC)."""

    prediction_id: Sequence[str]
    times: Sequence[int]
    features: Mapping[str, Sequence[Cell]]
    entity_id: Sequence[str] | None = None

    @property
    def entities(self) -> Sequence[str]:
        """What a row is split by: its entity, else its prediction id."""
        return self.prediction_id if self.entity_id is None else self.entity_id

    def at(self, places: Sequence[int]) -> Rows:
        """The rows at these places, in this order."""
        if len(places) == len(self.prediction_id):
            return self
        return Rows(
            [self.prediction_id[place] for place in places],
            [self.times[place] for place in places],
            {name: [values[place] for place in places] for name, values in self.features.items()},
            None if self.entity_id is None else [self.entity_id[place] for place in places],
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model said: a score per row, None where it failed. `latency_ms`: how long the rows waited for it."""

    score: Sequence[float | None]
    latency_ms: float

    @property
    def status(self) -> list[Literal["ok", "error"]]:
        """`error` where there is no score."""
        return ["error" if score is None else "ok" for score in self.score]


def record(
    epoch: int, arm: ArmPlan, rows: Rows, scores: Scores, now: datetime, shadow: ShadowScores | None = None
) -> PredictionsLogged:
    """The record of one arm. A repeated request is the same record: its id is made of arm, epoch and prediction ids."""
    model, digest = arm.verdict.model, arm.verdict.artifact.sha256
    return PredictionsLogged.named(
        record_name(model, epoch, arm, rows.prediction_id), now, model, source="serving", version=arm.version,
        digest=digest, arm=arm.arm, epoch=epoch, prediction_id=rows.prediction_id, times=rows.times,
        entity_id=rows.entity_id, features=rows.features, score=scores.score,
        latency_ms=[scores.latency_ms] * len(scores.score), status=scores.status, shadow=shadow,
    )  # fmt: skip


def record_name(model: str, epoch: int, arm: ArmPlan, prediction_ids: Sequence[str]) -> str:
    """Name a record by all its rows: two requests that share only some ids are two records."""
    ids = sha256("\x00".join(prediction_ids).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{model}/{epoch}/{arm.arm}/{arm.version}/{ids}"
