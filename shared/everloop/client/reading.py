"""What to log of a request and its answer, both JSON: the forms that model servers commonly have. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from everloop.client.values import Prediction

Read = Callable[[object, object], Prediction | None]
"""From the request and the answer, as parsed JSON; None where there is nothing to log."""
TABLES: Final = (
    ("rows", "rows"),  # Everloop's own serving
    ("instances", "predictions"),  # KServe, protocol v1; TensorFlow Serving
    ("dataframe_records", "predictions"),  # MLflow
)
"""Where a list of rows stands in the request, and where the list of answers does."""
NAMED: Final = ("prediction_id", "entity_id", "time")


def read_common(request: object, response: object) -> Prediction | None:
    """Understand one row, `{"features": {...}}` answered by `{"score": 0.1}`, and the `TABLES` of many.

    A row is an object of features, or has one as `features`; then `prediction_id`, `entity_id` and `time` may stand
    beside it. An answer is a number, or an object with `score` and perhaps `prediction_id`, `version` and `arm`.
    Anything else is not logged: give the middleware a `read` of your own.
    """
    if not isinstance(request, Mapping) or not isinstance(response, Mapping):
        return None
    if isinstance(request.get("features"), Mapping):
        return _predictions([request], [response], response)
    for asked, told in TABLES:
        rows, answers = request.get(asked), response.get(told)
        if isinstance(rows, list) and isinstance(answers, list) and rows and len(rows) == len(answers):
            return _predictions(rows, answers, response)
    return None


def _predictions(
    rows: Sequence[object], answers: Sequence[object], response: Mapping[str, object]
) -> Prediction | None:
    scores = [_score(answer) for answer in answers]
    known = [row for row in rows if isinstance(row, Mapping)]
    if None in scores or len(known) < len(rows):
        return None
    beside = [
        {**_beside(row), **_named(answer, ("prediction_id",))} for row, answer in zip(known, answers, strict=True)
    ]
    who = {**_named(response, ("version", "arm")), **_named(answers[0], ("version", "arm"))}
    return Prediction(
        [_features(row) for row in known],
        scores,
        prediction_id=_column(beside, "prediction_id"),
        entity_id=_column(beside, "entity_id"),
        time=_column(beside, "time"),
        version=who.get("version"),
        arm=who.get("arm"),
    )


def _score(answer: object) -> float | None:
    found = answer.get("score") if isinstance(answer, Mapping) else answer
    return found if isinstance(found, int | float) else None


def _features(row: Mapping[str, object]) -> Mapping[str, object]:
    found = row.get("features")
    return found if isinstance(found, Mapping) else row


def _beside(row: Mapping[str, object]) -> Mapping[str, object]:
    return _named(row, NAMED) if isinstance(row.get("features"), Mapping) else {}


def _named(found: object, names: Sequence[str]) -> dict[str, str]:
    if not isinstance(found, Mapping):
        return {}
    return {name: found[name] for name in names if isinstance(found.get(name), str | int)}


def _column(rows: Sequence[Mapping[str, object]], name: str) -> list[object] | None:
    """Give a column where every row has a value."""
    found = [row[name] for row in rows if name in row]
    return found if len(found) == len(rows) else None
