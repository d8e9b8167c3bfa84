"""What a model expects and says: its features in order, its task, its classes; and the rows in that form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["numeric", "categorical"]
Task = Literal["binary", "multiclass", "regression"]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class ModelManifest(BaseModel):
    """`features` in the order of the model's columns; `classes` as text in the model's order, the positive one last."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    features: dict[Name, Kind] = Field(min_length=1, max_length=10_000)
    task: Task
    classes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _classes_fit_task(self) -> ModelManifest:
        count = len(set(self.classes))
        fits = {"binary": count == 2, "multiclass": count > 1, "regression": count == 0}  # noqa: PLR2004 - the word says it
        if not fits[self.task] or count != len(self.classes):
            message = f"{len(self.classes)} classes do not fit a {self.task} task"
            raise ValueError(message)
        return self


def frame(columns: Mapping[str, Sequence[object]], features: Mapping[str, Kind]) -> NDArray[np.object_]:
    """Give rows as the models see them, in training and in scoring: shape (rows, features), in the order of `features`.

    Numeric: a float; a missing column, None, infinity and what is no number become NaN. Categorical: text, or None
    where it is missing; a whole float is written as an integer, since a missing neighbour makes floats of integers.
    Columns that the model does not know are ignored. Raises `ValueError` where columns differ in length.
    """
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        message = f"the columns differ in length: {sorted(lengths)} rows"
        raise ValueError(message)
    rows = next(iter(lengths), 0)
    table = np.empty((rows, len(features)), dtype=object)
    for place, (name, kind) in enumerate(features.items()):
        values = columns.get(name, [None] * rows)
        table[:, place] = numbers(values) if kind == "numeric" else texts(values)
    return table


def numbers(values: Sequence[object]) -> NDArray[np.float64]:
    """Give floats, shape (n,), NaN for what is not a finite number."""
    try:
        result = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        result = np.array([_number(value) for value in values], dtype=np.float64)
    result[~np.isfinite(result)] = np.nan
    return result


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # whatever a producer sent
    except (TypeError, ValueError, OverflowError):
        return math.nan


def texts(values: Sequence[object]) -> list[str | None]:
    """Give one spelling per category."""
    return [_text(value) for value in values]


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return str(value)
    if value is None or value != value or str(value) == "<NA>":  # noqa: PLR0124 - only NaN differs from itself
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
