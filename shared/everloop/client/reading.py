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


def read_common(request: object, response: object) -> Prediction | None:
    """Understand one row, `{"features": {...}}` answered by `{"score": 0.1}`, and the `TABLES` of many.

    A row is an object of features, or has one as `features`; then `prediction_id`, `entity_id` and `time` may stand
    beside it. An answer is a number, or an object with `score` and perhaps `prediction_id`, `version` and `arm`, the
    latter two the same in all answers. Anything else is not logged: give the middleware a `read` of your own.
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
    who = {tuple(_of(answer, name) or _of(response, name) for name in ("version", "arm")) for answer in answers}
    if None in scores or len(known) < len(rows) or len(who) > 1:
        return None
    version, arm = who.pop()
    return Prediction(
        [_features(row) for row in known],
        scores,
        prediction_id=_column([_id(row, answer) for row, answer in zip(known, answers, strict=True)]),
        entity_id=_column([_beside(row, "entity_id") for row in known]),
        time=_column([_beside(row, "time") for row in known]),
        version=None if version is None else str(version),
        arm=None if arm is None else str(arm),
    )


def _score(answer: object) -> float | None:
    found = answer.get("score") if isinstance(answer, Mapping) else answer
    return found if isinstance(found, int | float) else None


def _features(row: Mapping[str, object]) -> Mapping[str, object]:
    found = row.get("features")
    return found if isinstance(found, Mapping) else row


def _id(row: Mapping[str, object], answer: object) -> str | int | None:
    told = _of(answer, "prediction_id")
    return _beside(row, "prediction_id") if told is None else told


def _beside(row: Mapping[str, object], name: str) -> str | int | None:
    """What stands beside the features, where they have an object of their own."""
    return _of(row, name) if isinstance(row.get("features"), Mapping) else None


def _of(found: object, name: str) -> str | int | None:
    value = found.get(name) if isinstance(found, Mapping) else None
    return value if isinstance(value, str | int) else None


def _column(values: Sequence[object]) -> Sequence[object] | None:
    """Give a column where every row has a value."""
    return None if None in values else values
