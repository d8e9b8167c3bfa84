"""From one scored row back to the decision that let its version serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from everloop import events as e
from everloop.story.links import version_of
from everloop.story.steps import Step, chain

SHORT: Final = 12
_SPLITS: Final = (e.RolloutStarted, e.StepTaken, e.VersionPromoted, e.RolloutAborted, e.VersionRolledBack)


def one_row(event: e.PredictionsLogged, prediction_id: str) -> e.PredictionsLogged | None:
    """The record with this row alone, without its features and its entity; None when it does not have it."""
    if prediction_id not in event.prediction_id:
        return None
    row = event.prediction_id.index(prediction_id)
    columns = ("times", "score", "label", "latency_ms", "status")
    kept = {name: values[row : row + 1] for name in columns if (values := getattr(event, name)) is not None}
    shadow = event.shadow.model_copy(update={"score": event.shadow.score[row : row + 1]}) if event.shadow else None
    alone: dict[str, object] = {"prediction_id": (prediction_id,), "entity_id": None, "features": {}, "shadow": shadow}
    return event.model_copy(update={**kept, **alone})


def chain_of(events: Sequence[e.Event], row: e.PredictionsLogged) -> list[Step]:
    """The row, the decision that let its version serve, and what led to that; `row` is made by `one_row`."""
    first = Step("prediction", row, said_of(row), ())
    target = decision(events, row)
    return [first, *(chain(events, target) if target else ())]


def decision(events: Sequence[e.Event], row: e.PredictionsLogged) -> e.Event | None:
    """The split of its epoch when that was about its version, else the last promotion (or return) of the version.

    A champion's row in the epoch of another version's rollout was not served because of that rollout.
    """
    if row.version is None:
        return None
    splits = [one for one in events if isinstance(one, _SPLITS) and one.model == row.model]
    at_epoch = [one for one in splits if one.sequence == row.epoch and version_of(one) == row.version]
    if row.epoch is not None and at_epoch and not isinstance(at_epoch[0], e.RolloutAborted | e.VersionRolledBack):
        return at_epoch[0]
    before = [one for one in splits if row.epoch is None or (one.sequence or 0) <= row.epoch]
    return next((one for one in reversed(before) if _made_champion(one) == row.version), None)


def said_of(row: e.PredictionsLogged) -> str:
    """Id, version, arm, epoch, digest and score in one line."""
    (name,) = row.prediction_id
    if row.version is None:
        return f"{name}: {row.source}, no version of ours scored it"
    digest = f", digest {row.digest[:SHORT]}" if row.digest else ""
    epoch = "" if row.epoch is None else f", epoch {row.epoch}"
    score = "" if row.score is None or row.score[0] is None else f", score {row.score[0]:.4g}"
    return f"{name}: version {row.version}, arm {row.arm or '–'}{epoch}{digest}{score}"


def _made_champion(event: e.Event) -> str | None:
    match event:
        case e.VersionPromoted():
            return event.version
        case e.VersionRolledBack():
            return event.champion
    return None
