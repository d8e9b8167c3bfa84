"""The body of a request: rows, or columns for volume. Strict: plain finite values, equal lengths, no id twice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, cast
from uuid import uuid4

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    model_validator,
)
from pydantic_core import PydanticCustomError

from everloop_serving.domain.records import Cell, Rows

MOST_ROWS: Final = 10_000
MOST_CELLS: Final = 500_000
LONGEST: Final = 1_000
_LARGEST_MS: Final = 253_402_300_799_999  # the last millisecond of the year 9999
_PLAIN: Final = frozenset({float, int, str, bool, type(None)})
_MS: Final = 1000


def _cells(values: list[object]) -> list[object]:
    """Numbers as finite floats, texts, booleans and nulls; nothing nested."""
    kinds = set(map(type, values))
    if not kinds <= _PLAIN:
        raise PydanticCustomError("plain_value", "a feature is a number, a text, true, false or null")
    if kinds & {int, float}:
        values = [_number(value) if type(value) in {int, float} else value for value in values]
    if str in kinds and any(len(value) > LONGEST for value in values if isinstance(value, str)):
        raise PydanticCustomError("too_long", "a text has at most 1000 characters")
    return values


def _number(value: object) -> float:
    try:
        number = float(cast("float", value))
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise PydanticCustomError("finite_number", "a number is finite and fits into 64 bits")
    return number


def _cell(value: object) -> object:
    return _cells([value])[0]


def _moment(value: object) -> int:
    """Milliseconds since 1970, from such or from ISO 8601 with a time zone."""
    if type(value) is int and 0 <= value <= _LARGEST_MS:
        return value
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.timestamp() < 0:
        raise PydanticCustomError("time", "a time is milliseconds since 1970 or ISO 8601 with a time zone")
    return round(moment.timestamp() * _MS)


Name = Annotated[str, Field(min_length=1, max_length=200)]
Id = Annotated[str, Field(strict=True, min_length=1, max_length=256)]
Time = Annotated[object, AfterValidator(_moment)]


class Row(BaseModel):
    """One row: its features by name; ids and time where the caller has them."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    features: dict[Name, Annotated[object, AfterValidator(_cell)]] = Field(min_length=1, max_length=10_000)
    prediction_id: Id | None = None
    entity_id: Id | None = None
    time: Time | None = None


class ByRows(BaseModel):
    """`{"rows": [{"features": {...}, ...}]}`: easy to write."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    rows: list[Row] = Field(min_length=1, max_length=MOST_ROWS)

    @model_validator(mode="after")
    def _entities(self) -> ByRows:
        if len({row.entity_id is None for row in self.rows}) > 1:
            raise PydanticCustomError("entity_id", "give entity_id in all rows or in none")
        return self

    def to_rows(self, now: datetime) -> Rows:
        """Turn into columns; a feature that a row lacks is null."""
        names = dict.fromkeys(name for row in self.rows for name in row.features)
        _check_cells(len(names), len(self.rows))
        features = {name: [row.features.get(name) for row in self.rows] for name in names}
        whole = all(row.entity_id is not None for row in self.rows)
        return _rows(
            [row.prediction_id for row in self.rows],
            [row.time for row in self.rows],
            [row.entity_id for row in self.rows] if whole else None,
            features,
            now,
        )


class ByColumns(BaseModel):
    """`{"columns": {name: [...]}, "prediction_id": [...], "time": [...]}`: fast for many rows.

    `features` and `times`, the words of the records on the log, are taken as well.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    columns: dict[Name, Annotated[list[object], AfterValidator(_cells)]] = Field(
        min_length=1, max_length=10_000, validation_alias=AliasChoices("columns", "features")
    )
    prediction_id: list[Id] | None = None
    entity_id: list[Id] | None = None
    time: list[Time] | None = Field(default=None, validation_alias=AliasChoices("time", "times"))

    @model_validator(mode="after")
    def _lengths(self) -> ByColumns:
        given = (self.prediction_id, self.entity_id, self.time, *self.columns.values())
        lengths = {len(values) for values in given if values is not None}
        if len(lengths) > 1 or not 0 < max(lengths) <= MOST_ROWS:
            raise PydanticCustomError("lengths", "all columns have the same number of rows, 1 to 10000")
        return self

    def to_rows(self, now: datetime) -> Rows:
        """As they are."""
        count = len(next(iter(self.columns.values())))
        _check_cells(len(self.columns), count)
        nothing: list[None] = [None] * count
        return _rows(self.prediction_id or nothing, self.time or nothing, self.entity_id, self.columns, now)


def _form(body: object) -> Literal["rows", "columns"]:
    return "rows" if isinstance(body, Mapping) and "rows" in body else "columns"


Body = Annotated[Annotated[ByRows, Tag("rows")] | Annotated[ByColumns, Tag("columns")], Discriminator(_form)]
BODY: Final[TypeAdapter[ByRows | ByColumns]] = TypeAdapter(Body)


class BodyError(ValueError):
    """A rule that only the whole body shows; the message is the fix."""


def _check_cells(columns: int, rows: int) -> None:
    if columns * rows > MOST_CELLS:
        message = f"send at most {MOST_CELLS} values (rows × features) in one request"
        raise BodyError(message)


def _rows(
    ids: Sequence[str | None],
    times: Sequence[object],
    entities: Sequence[str | None] | None,
    features: Mapping[str, Sequence[object]],
    now: datetime,
) -> Rows:
    """Fill in what the caller left out. Raises `BodyError` for an id that is there twice."""
    named = [given or str(uuid4()) for given in ids]
    if len(set(named)) != len(named):
        raise BodyError("give each prediction_id once")
    default = round(now.timestamp() * _MS)
    known = None if entities is None else cast("Sequence[str]", entities)
    moments = [default if moment is None else cast("int", moment) for moment in times]
    return Rows(named, moments, cast("Mapping[str, Sequence[Cell]]", features), known)
