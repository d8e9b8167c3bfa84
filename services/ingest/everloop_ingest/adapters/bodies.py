"""What a body says: an event of its good rows, and what is wrong with each bad one. A bad row costs no good one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from everloop.errors import InvalidError
from everloop.events import FeedbackLogged, LabelsLogged, PredictionsLogged
from everloop.http import Problem, RefusedError, location, problems, refuse
from everloop.loop.feedback import Wrong
from everloop.rows import Rows, listed
from everloop.rows.arrow import read_arrow
from everloop_ingest.adapters.records import Said
from everloop_ingest.domain import reading
from everloop_ingest.domain.reading import Stamp
from everloop_ingest.domain.signatures import Rule, Unlike

M = TypeVar("M", bound=BaseModel)
C = TypeVar("C", reading.Columns, reading.LabelColumns)
R = TypeVar("R", reading.Row, reading.LabelRow, reading.RangeRow, reading.FeedbackRow)
E = TypeVar("E", PredictionsLogged, LabelsLogged, FeedbackLogged)
Body = dict[str, object]
SHOWN_OF_A_ROW: Final = 5
MOST_ERRORS: Final = 50_000
TWICE: Final = "names a prediction that an earlier row has named"
NO_CLASS: Final = "the task of this model is binary: its labels are 0 and 1"


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows of a request: the event of the good ones, and what is wrong with each bad one, by its place.

    `refused` is a body of the same form that holds the bad rows alone. `unlike`: features of the good rows that are not
    as the model's version knows them. `at`: where in the request the body stands.
    """

    event: Said
    asked: int
    wrong: Mapping[int, list[Problem]] = field(default_factory=dict)
    refused: Body = field(default_factory=dict)
    unlike: Sequence[Unlike] = ()
    at: str = ""

    @property
    def warnings(self) -> dict[int, list[Problem]]:
        """What each good row is told, by its place; rows of which there is nothing to tell are left out."""
        places = [place for place in range(self.asked) if place not in self.wrong] if self.unlike else []
        told = by_row(self.unlike, len(places))
        found = {places[row]: [problem_of(one, places[row]) for one in each] for row, each in told.items()}
        return {place: [one.below(self.at) if self.at else one for one in each] for place, each in found.items()}

    @property
    def accepted(self) -> int:
        """How many rows are good."""
        return self.asked - len(self.wrong)


Read = Callable[[Body, Stamp], Judged]


def read_predictions(body: Body, stamp: Stamp) -> Judged:
    """Columns, rows, or one row. Raises `RefusedError` (422) when nothing of it can be accepted."""
    if "rows" not in body:
        return predictions_of(_as_columns(body), stamp)
    about = _valid(reading.Rows, body)
    rows, wrong = _rows(reading.Row, about.rows, partial(_no_class, stamp))
    event = _scored(_built(lambda: reading.from_rows(about, rows, stamp)))
    found = reading.unlike(event, stamp)
    if found and stamp.signatures.refuses:
        places = _left(len(about.rows), wrong)
        rest, more = _refused(found, places)
        event = _built(lambda: reading.from_rows(about, [rows[place] for place in rest], stamp))
        wrong, found = dict(sorted((wrong | more).items())), []
    return Judged(event, len(about.rows), wrong, _bad_rows(body, about.rows, wrong), found)


def read_labels(body: Body, stamp: Stamp) -> Judged:
    """Columns, rows, or one row, by prediction id or by entity. Raises as `read_predictions`."""
    if is_of_entities(body):
        return read_ranges(body, stamp)
    if "rows" not in body:
        return labels_of(_one_label(body), stamp)
    about = _valid(reading.LabelRows, body)
    rows, wrong = _rows(reading.LabelRow, about.rows, partial(_no_class, stamp))
    event = _built(lambda: reading.labels_from_rows(about.model, rows, stamp))
    return Judged(event, len(about.rows), wrong, _bad_rows(body, about.rows, wrong))


def is_of_entities(body: Body) -> bool:
    """Whether labels name entities and time ranges instead of predictions; of rows the first one says it."""
    rows = body.get("rows")
    first = rows[0] if isinstance(rows, list) and rows else body
    return isinstance(first, dict) and "entity_id" in first and "prediction_id" not in first


def read_ranges(body: Body, stamp: Stamp) -> Judged:
    """Labels by entity: columns, rows, or one row. Raises as `read_predictions`."""
    if isinstance(body.get("entity_id"), str):
        body = _listed(body)
    model, sent = _as_rows(_RANGES, body)
    good, wrong = _rows(reading.RangeRow, sent, partial(_no_class, stamp), once=None)
    bad: Body = {"model": model, "rows": [sent[place] for place in wrong]} if wrong else {}
    return Judged(_built(lambda: reading.labels_from_ranges(model, good, stamp)), len(sent), wrong, bad)


class _Shapes(NamedTuple):
    """Shapes of a body with `rows`, of one with columns, and of one row; `key` names a column that all have."""

    rows: type[reading.LabelRows | reading.FeedbackRows]
    columns: type[reading.RangeColumns | reading.FeedbackColumns]
    row: type[BaseModel]
    key: str


_RANGES: Final = _Shapes(reading.LabelRows, reading.RangeColumns, reading.RangeRow, "entity_id")
_FEEDBACK: Final = _Shapes(reading.FeedbackRows, reading.FeedbackColumns, reading.FeedbackRow, "prediction_id")


def _as_rows(shapes: _Shapes, body: Body) -> tuple[str, Sequence[Body]]:
    """The model, and columns as rows."""
    if "rows" in body:
        about = _valid(shapes.rows, body)
        return about.model, about.rows
    columns = _valid(shapes.columns, body)
    if not _rows_sent(body):
        refuse(422, shapes.key, "unequal_columns", f"all columns have as many rows as {shapes.key}")
    names = shapes.row.model_fields
    values = zip(*(getattr(columns, name) for name in names), strict=True)
    return columns.model, [dict(zip(names, row, strict=True)) for row in values]


def read_feedback(body: Body, stamp: Stamp) -> Judged:
    """Feedback: columns, rows, or one row. Raises as `read_predictions`."""
    return _feedback(_listed(body) if is_one_row(body) else body, stamp)


def feedback_of(body: Body, stamp: Stamp) -> Judged:
    """Columns alone: the data of `FeedbackLogged`, and the model. Raises as `read_predictions`."""
    if "rows" in body:
        refuse(422, "rows", "extra_forbidden", "the data of an event is columns")
    return _feedback(body, stamp)


def _feedback(body: Body, stamp: Stamp) -> Judged:
    model, sent = _as_rows(_FEEDBACK, body)
    good, wrong = _rows(reading.FeedbackRow, sent, partial(_undeclared, stamp), once=_UNDER_A_NAME)
    bad: Body = {"model": model, "rows": [sent[place] for place in wrong]} if wrong else {}
    return Judged(_built(lambda: reading.feedback_from_rows(model, good, stamp)), len(sent), wrong, bad)


_AT: Final[Mapping[Wrong, str]] = {"unknown_feedback": "name", "out_of_bounds": "value"}
_FEEDBACK_RULES: Final[Mapping[Wrong, str]] = {
    "unknown_feedback": "declare the name under `feedback` in the model's loop file, and apply it",
    "out_of_bounds": "the loop file takes values from `least` to `most` of this name alone",
}


def predictions_of(body: Body, stamp: Stamp) -> Judged:
    """Columns alone: the data of `PredictionsLogged`, and the model. Raises as `read_predictions`."""
    columns, wrong, asked = _columns(reading.Columns, body, stamp)
    event = _scored(_built(lambda: reading.from_columns(columns, stamp)))
    found = reading.unlike(event, stamp)
    if found and stamp.signatures.refuses:
        places = _left(asked, wrong)
        rest, more = _refused(found, places)
        columns = _valid(reading.Columns, _picked(body, [places[place] for place in rest]))
        event = _built(lambda: reading.from_columns(columns, stamp))
        wrong, found = dict(sorted((wrong | more).items())), []
    return Judged(event, asked, wrong, _picked(body, [*wrong]) if wrong else {}, found)


def labels_of(body: Body, stamp: Stamp) -> Judged:
    """Columns alone: the data of `LabelsLogged`, and the model. Raises as `read_predictions`."""
    if is_of_entities(body):
        return read_ranges(body, stamp)
    columns, wrong, asked = _columns(reading.LabelColumns, body, stamp)
    event = _built(lambda: reading.labels_from_columns(columns, stamp))
    return Judged(event, asked, wrong, _picked(body, [*wrong]) if wrong else {})


def arrow_columns(value: bytes, model: str) -> Body:
    """The columns of an Arrow stream as a JSON body would have them. Raises `RefusedError`: 400 no stream, 422 no rows.

    So an Arrow stream is held to each rule of the JSON forms, and a bad row of it costs no good one either.
    """
    try:
        rows = read_arrow(value, "", model)
    except InvalidError as error:
        refuse(400 if error.reason == "malformed" else 422, "body", error.reason, str(error))
    return _as_body(rows)


def _as_body(rows: Rows) -> Body:
    once: Body = {name: getattr(rows, name) for name in ("model", "source", "version", "digest", "arm", "epoch")}
    columns: Body = {
        name: None if (column := getattr(rows, name)) is None else listed(column)
        for name in ("entity_id", "score", "label", "latency_ms", "status")
    }
    said = rows.shadow_score
    shadow: Body = {} if said is None else {"shadow": {"version": rows.shadow_version, "score": listed(said)}}
    features = {name: listed(column) for name, column in rows.features.items()}
    return {**once, **columns, **shadow, "prediction_id": rows.prediction_id, "times": rows.times, "features": features}


# ----------------------------------------------------------------------------------------------------------- signatures


_MEANINGS: Final[Mapping[Rule, str]] = {
    "missing_feature": "the model's version was trained with it",
    "unknown_feature": "the model's version was trained without it",
    "no_number": "the model's version has numbers there",
}


def problem_of(one: Unlike, place: int | None = None) -> Problem:
    """The same for a sender: in one row, or in the whole of a request."""
    path = ("features", one.name) if one.rows is None or place is None else ("features", one.name, place)
    return Problem(location("", path), one.rule, _MEANINGS[one.rule])


def by_row(found: Sequence[Unlike], rows: int) -> dict[int, list[Unlike]]:
    """What each row is told, `SHOWN_OF_A_ROW` at most; rows without anything are left out."""
    told: dict[int, list[Unlike]] = {}
    for one in found:
        for row in range(rows) if one.rows is None else one.rows:
            told.setdefault(row, []).append(one)
    return {row: each[:SHOWN_OF_A_ROW] for row, each in told.items()}


def _left(asked: int, wrong: Mapping[int, object]) -> list[int]:
    """Places of the rows that are good so far."""
    return [place for place in range(asked) if place not in wrong]


def _refused(found: Sequence[Unlike], places: Sequence[int]) -> tuple[list[int], dict[int, list[Problem]]]:
    """Rows that are as the version knows them, and what is wrong with each other one, by its place in the request.

    Raises `RefusedError` (422) when there is none of the former.
    """
    told = by_row(found, len(places))
    rest = [row for row in range(len(places)) if row not in told]
    if not rest:
        raise RefusedError(422, [problem_of(one, places[min(one.rows)] if one.rows else None) for one in found])
    return rest, {places[row]: [problem_of(one, places[row]) for one in each] for row, each in told.items()}


# -------------------------------------------------------------------------------------------------------- good and bad


def _columns(shape: type[C], body: Body, stamp: Stamp) -> tuple[C, dict[int, list[Problem]], int]:
    """The good rows, what is wrong with the others, and how many were sent."""
    wrong: dict[int, list[Problem]] = {}
    try:
        found = shape.model_validate(body)
    except ValidationError as error:
        sent = _rows_sent(body) if _is_of_rows(error) else 0
        wrong = _wrong_cells(body, sent)
        good = [place for place in range(sent) if place not in wrong]
        if not wrong or not good:
            raise RefusedError(422, problems(error)) from None
        found = _valid(shape, _picked(body, good))
    else:
        sent = len(found.prediction_id)
        good = list(range(sent))
    again, strange = reading.repeated(found.prediction_id), reading.no_class(found.label, stamp)
    if (again or strange) and _rows_sent(body):  # columns of unequal length the event refuses
        wrong |= {good[place]: [Problem(f"label.{good[place]}", "no_class", NO_CLASS)] for place in strange}
        wrong |= {good[place]: [Problem(f"prediction_id.{good[place]}", "duplicate", TWICE)] for place in again}
        rest = [place for place in good if place not in wrong]
        if not rest:
            raise RefusedError(422, [problem for place in list(wrong)[:5] for problem in wrong[place]])
        found = _valid(shape, _picked(body, rest))
    return found, dict(sorted(wrong.items())), sent


def _is_of_rows(error: ValidationError) -> bool:
    """Whether each error is in a row (`times.3`, `features.NAME.3`, `shadow.score.3`), and none is of the whole."""
    for item in error.errors(include_url=False, include_input=False):
        path = item["loc"]
        depth = 2 if path and path[0] in {"features", "shadow"} else 1
        if len(path) <= depth or not isinstance(path[depth], int):
            return False
    return True


def _wrong_cells(body: Body, rows: int) -> dict[int, list[Problem]]:
    """The problems of each bad row of columns of this length."""
    shape = reading.LabelRow if "labelled_at" in body else reading.Cells
    columns = {_CELL.get(name, name): column for name, column in body.items() if isinstance(column, list)}
    features: Any = body.get("features", {})
    if isinstance(shadow := body.get("shadow"), dict):
        columns["shadow_score"] = shadow["score"]
    found, budget = dict[int, list[Problem]](), Budget()
    for place in range(rows):
        row: Body = {name: column[place] for name, column in columns.items()}
        if shape is reading.Cells:
            row["features"] = {name: column[place] for name, column in features.items()}
        try:
            shape.model_validate(row)
        except ValidationError as error:
            budget.spend(error)
            found[place] = [_in_column(one, place) for one in error.errors(include_url=False, include_input=False)]
            found[place] = found[place][:SHOWN_OF_A_ROW]
    return found


_CELL: Final = {"times": "time"}
_COLUMN: Final = {"time": "times", "shadow_score": "shadow.score"}


def _in_column(error: Any, place: int) -> Problem:  # noqa: ANN401 -- pydantic's details of one error
    """An error of a row as one of its column."""
    path = error["loc"]
    cut = 2 if path[0] == "features" else 1
    named = (_COLUMN.get(path[0], path[0]), *path[1:cut], place, *path[cut:])
    return Problem(location("", named), error["type"], error["msg"])


@dataclass(slots=True)
class Budget:
    """How many errors of one body are told: to make a million takes seconds, in which nobody else is answered."""

    left: int = MOST_ERRORS

    def spend(self, error: ValidationError) -> None:
        """Raises `RefusedError` (422) for the whole body where there is nothing left."""
        self.left -= error.error_count()
        if self.left < 0:
            refuse(422, "body", "too_many_errors", "nothing was accepted: send fewer rows at once, or mend them")


def _rows_sent(body: Body) -> int:
    """How many rows there are, if all columns agree; 0 where they do not."""
    lengths = {len(column) for column in _each_column(body)}
    return lengths.pop() if len(lengths) == 1 else 0


def _each_column(body: Body) -> list[list[object]]:
    inner = [body[name] for name in ("features", "shadow") if isinstance(body.get(name), dict)]
    values = [*body.values(), *(value for part in inner for value in part.values())]  # type: ignore[attr-defined]  # dicts
    return [value for value in values if isinstance(value, list)]


def _picked(body: Body, places: Sequence[int]) -> Body:
    """The same body with these rows alone."""

    def pick(value: object) -> object:
        if isinstance(value, list):
            return [value[place] for place in places]
        return {name: pick(inner) for name, inner in value.items()} if isinstance(value, dict) else value

    return {name: pick(value) for name, value in body.items()}


class _Once(NamedTuple):
    """What stands in one row alone: the values under `names`. `fix`: what is wrong with a row that repeats them."""

    names: tuple[str, ...]
    fix: str


_PREDICTION: Final = _Once(("prediction_id",), TWICE)
_UNDER_A_NAME: Final = _Once(("prediction_id", "name"), "an earlier row has the same prediction and name")


def _rows(
    shape: type[R], rows: Sequence[Body], broken: Callable[[R], Problem | None], *, once: _Once | None = _PREDICTION
) -> tuple[list[R], dict[int, list[Problem]]]:
    """The good rows, and what is wrong with each other one: its shape, a rule of the loop file, or a repetition."""
    good: list[R] = []
    wrong: dict[int, list[Problem]] = {}
    seen: set[tuple[object, ...]] = set()
    budget = Budget()
    for place, row in enumerate(rows):
        try:
            found = shape.model_validate(row)
        except ValidationError as error:
            budget.spend(error)
            wrong[place] = problems(error, f"rows.{place}")
            continue
        if (problem := broken(found)) is not None:
            wrong[place] = [problem.below(f"rows.{place}")]
            continue
        named = tuple(row[name] for name in once.names) if once is not None else ()
        if once is not None and named in seen:
            wrong[place] = [Problem(f"rows.{place}.{once.names[0]}", "duplicate", once.fix)]
            continue
        seen.add(named)
        good.append(found)
    if not good:
        raise RefusedError(422, [problem for place in list(wrong)[:5] for problem in wrong[place]])
    return good, wrong


def _no_class(stamp: Stamp, row: reading.Row | reading.LabelRow | reading.RangeRow) -> Problem | None:
    return Problem("label", "no_class", NO_CLASS) if reading.no_class([row.label], stamp) else None


def _undeclared(stamp: Stamp, row: reading.FeedbackRow) -> Problem | None:
    rule = reading.undeclared(row, stamp)
    return None if rule is None else Problem(_AT[rule], rule, _FEEDBACK_RULES[rule])


def _bad_rows(body: Body, rows: Sequence[Body], wrong: Mapping[int, object]) -> Body:
    return {**body, "rows": [rows[place] for place in wrong]} if wrong else {}


def _valid(shape: type[M], body: object) -> M:
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        raise RefusedError(422, problems(error)) from None


def _built(build: Callable[[], E]) -> E:
    """Rules over all rows: equal lengths, no id twice."""
    try:
        return build()
    except ValidationError as error:
        raise RefusedError(422, problems(error)) from None
    except PydanticCustomError as error:
        raise RefusedError(422, [Problem("prediction_id", error.type, error.message())]) from None


def _scored(event: PredictionsLogged) -> PredictionsLogged:
    lacking = reading.lacks(event)
    if lacking:
        refuse(422, lacking, "missing", "only rows of a bootstrap (source: bootstrap) may be without it")
    return event


def _as_columns(body: Body) -> Body:
    """A plain object of one row is a request of one row; `time` is another name of the column `times`."""
    if not is_one_row(body):
        return {("times" if name == "time" and "times" not in body else name): value for name, value in body.items()}
    common = {name: body[name] for name in reading.About.model_fields if name in body}
    about = _valid(reading.About, common)
    row = _valid(reading.Row, {name: value for name, value in body.items() if name not in common})
    given = row.model_dump(exclude={"time", "features"}, exclude_none=True)
    return {
        **about.model_dump(exclude_none=True),
        **{name: [value] for name, value in given.items()},
        "times": [row.time],
        "features": {name: [value] for name, value in row.features.items()},
    }


def is_one_row(body: Body) -> bool:
    """Whether a body is a plain object of one row."""
    return "rows" not in body and isinstance(body.get("prediction_id"), str)


def _one_label(body: Body) -> Body:
    return _listed(body) if is_one_row(body) else body


def _listed(body: Body) -> Body:
    """One row as columns of one row."""
    return {name: value if name == "model" else [value] for name, value in body.items()}
