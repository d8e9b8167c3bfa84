"""Windows for the judge, from raw values: counted as the worker counts, with moments by numpy."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from everloop import events as e
from everloop.profile import ColumnProfile, Profile, Task, build_profile, column_groups
from everloop.profile.build import moments
from everloop.profile.cells import FIRST_BIN, MALFORMED, MISSING, NONFINITE, count_categorical, count_numeric
from everloop.sketch import Labelled
from tests.builders import HOUR_MS, NOON, a_fresh_id, millis

Values = Any
START = millis(NOON)
POINT_MS = HOUR_MS // 60


def a_profile(**columns: Values) -> Profile:
    """A reference with these columns and uniform scores."""
    return build_profile(columns, scores=np.random.default_rng(0).uniform(size=2000))


def a_side(column: ColumnProfile, values: Values) -> e.ColumnSide:
    """Count current values on the bins of `column`."""
    numeric = column.kind == "numeric"
    cells = count_numeric(column.edges, values) if numeric else count_categorical(column.categories, values)
    mean, deviation = moments(values) if numeric else (None, None)
    return e.ColumnSide(
        counts=tuple(cells[FIRST_BIN:].tolist()), missing=int(cells[MISSING]), nonfinite=int(cells[NONFINITE]),
        malformed=int(cells[MALFORMED]), mean=mean, deviation=deviation,
    )  # fmt: skip


def a_column_window(column: ColumnProfile, values: Values) -> e.ColumnWindow:
    """Current values of one column beside its reference."""
    reference = e.ColumnSide(
        counts=column.counts, missing=column.missing, nonfinite=column.nonfinite, malformed=column.malformed,
        mean=column.mean, deviation=column.deviation,
    )  # fmt: skip
    return e.ColumnWindow(
        name=column.name, kind=column.kind, current=a_side(column, values), reference=reference, edges=column.edges,
        categories=column.categories, groups=column_groups(column),
    )  # fmt: skip


def compared(reference: Values, current: Values) -> e.ColumnWindow:
    """One column, from the values of both sides."""
    return a_column_window(a_profile(x=reference).columns[0], current)


def normal(seed: int, rows: int = 2000, shift: float = 0.0) -> NDArray[np.float64]:
    """Normal values, moved by `shift`."""
    return np.random.default_rng(seed).normal(shift, size=rows)


def an_inputs_arm(
    profile: Profile, columns: dict[str, Values], scores: Values = None, *, version: str = "1", **more: object
) -> e.ArmWindow:
    """The champion's rows in a window of inputs."""
    rows = len(next(iter(columns.values()), ()))
    known = {column.name: column for column in profile.columns}
    fields: dict[str, object] = {
        "arm": "champion", "version": version, "rows": rows,
        "columns": tuple(a_column_window(known[name], values) for name, values in columns.items()),
        "score": None if scores is None else a_column_window(profile.score, scores),
    }  # fmt: skip
    return e.ArmWindow.model_validate({**fields, **more})


def an_outcomes_arm(seen: Labelled, *, version: str = "1", **more: object) -> e.ArmWindow:
    """The champion's rows in a window of outcomes."""
    fields: dict[str, object] = {
        "arm": "champion", "version": version, "rows": seen.rows, "quality": seen.to_plain(), "task": seen.task
    }  # fmt: skip
    return e.ArmWindow.model_validate({**fields, **more})


def labelled(
    scores: Values,
    labels: Values,
    *,
    task: Task = "binary",
    scale: float | None = None,
    window: int = 0,
    age_ms: int = 0,
) -> Labelled:
    """Labelled rows of the hour that is so many after noon, evenly over its 60 intervals."""
    rows = len(scores)
    begin = START + window * HOUR_MS
    points = begin + np.arange(rows) * 60 // max(1, rows) * POINT_MS
    return Labelled.observe(task, scale, np.asarray(scores), np.asarray(labels), np.full(rows, age_ms), points)


def a_window(
    number: int, *arms: e.ArmWindow, kind: Literal["inputs", "outcomes"] = "inputs", revision: int = 0
) -> e.WindowClosed:
    """The window of the hour that is so many after noon."""
    start = START + number * HOUR_MS
    return e.WindowClosed(
        id=a_fresh_id(), time=NOON, model="fraud", kind=kind, start=start, end=start + HOUR_MS, revision=revision,
        arms=arms, rows=sum(arm.rows for arm in arms),
    )  # fmt: skip
