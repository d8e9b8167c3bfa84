"""What a request may say, and the event that it becomes. Columns ride as they are, rows are made into columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from everloop.events import (
    FEEDBACK_NAME,
    LARGEST_FEEDBACK,
    MOST_FEATURES,
    FeedbackLogged,
    LabelsLogged,
    PredictionsLogged,
    named_id,
)
from everloop.loop import Feedback
from everloop.loop.feedback import Wrong, wrong_with
from everloop_ingest.domain.signatures import UNKNOWN, Signatures, Unlike

T = TypeVar("T")
MOST_ROWS: Final = 10_000
EARLIEST_MS: Final = int(datetime(1975, 1, 1, tzinfo=UTC).timestamp() * 1000)
"""A replay brings rows of any past; seconds that were meant as milliseconds lie in January 1970."""
LATEST_MS: Final = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def moment(value: object) -> object:
    """Milliseconds since 1970, where this is ISO 8601 with a time zone; anything else stays.

    Raises `PydanticCustomError` for a short text that is no time.
    """
    if isinstance(value, str) and len(value) <= 40:  # noqa: PLR2004 -- the longest that ISO 8601 takes
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("time", "is neither milliseconds nor ISO 8601") from None
        if at.tzinfo is None:
            raise PydanticCustomError("time_zone", "has no time zone; add Z or an offset")
        return round(at.timestamp() * 1000)
    return value


def are_printable(text: str) -> bool:
    """Whether there is no control or direction character."""
    return not _CONTROL.search(text)


def _printable(text: str) -> str:
    if not are_printable(text):
        raise PydanticCustomError("control_character", "has a control or direction character")
    return text


def _unlike(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("duplicate", "names a prediction twice")
    return names


Time = Annotated[
    int, BeforeValidator(moment), Field(ge=EARLIEST_MS, le=LATEST_MS),
    WithJsonSchema({"anyOf": [
        {"type": "integer", "minimum": EARLIEST_MS, "maximum": LATEST_MS},
        {"type": "string", "format": "date-time", "maxLength": 40},
    ]}),
]  # fmt: skip
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
Text = Annotated[str, StringConstraints(max_length=1024), Field()]
Printable = Annotated[Text, BeforeValidator(lambda value: _printable(value) if isinstance(value, str) else value)]
FeatureName = Annotated[Printable, StringConstraints(min_length=1, max_length=256)]
Feature = FiniteFloat | Printable | bool | None
Status = Literal["ok", "error"]
Source = Literal["serving", "producer", "bootstrap"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Shadow(_Part):
    """What a shadow version said about the same rows."""

    version: Name
    score: Annotated[list[FiniteFloat | None], Field(fail_fast=True)]


class About(_Part):
    """What all rows of a request have in common."""

    model: Name
    source: Source = "producer"
    version: Name | None = None
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    arm: Name | None = None
    epoch: Annotated[int, Field(ge=0)] | None = None


class Columns(About):
    """Predictions as columns of equal length: the data of `PredictionsLogged`. Of a bad column the first error is said.

    What is wrong with each row `Cells` says: a million errors take seconds to make.
    """

    prediction_id: Annotated[list[Name], Field(min_length=1, max_length=MOST_ROWS, fail_fast=True)]
    times: Annotated[list[Time], Field(fail_fast=True)]
    entity_id: Annotated[list[Printable], Field(fail_fast=True)] | None = None
    features: Annotated[
        dict[FeatureName, Annotated[list[Feature], Field(fail_fast=True)]], Field(max_length=MOST_FEATURES)
    ]
    score: Annotated[list[FiniteFloat | None], Field(fail_fast=True)] | None = None
    label: Annotated[list[FiniteFloat | None], Field(fail_fast=True)] | None = None
    latency_ms: Annotated[list[Annotated[FiniteFloat, Field(ge=0)] | None], Field(fail_fast=True)] | None = None
    status: Annotated[list[Status], Field(fail_fast=True)] | None = None
    shadow: Shadow | None = None


class Row(_Part):
    """One prediction. `time` in ms since 1970 or ISO 8601."""

    prediction_id: Name
    time: Time
    entity_id: Printable | None = None
    features: Annotated[dict[FeatureName, Feature], Field(max_length=MOST_FEATURES)]
    score: FiniteFloat | None = None
    label: FiniteFloat | None = None
    latency_ms: Annotated[FiniteFloat, Field(ge=0)] | None = None
    status: Status = "ok"


class Cells(Row):
    """One row of `Columns`: what is wrong with it."""

    shadow_score: FiniteFloat | None = None


class Rows(About):
    """Predictions as rows; each is validated on its own, as `Row`."""

    rows: Annotated[list[dict[str, object]], Field(min_length=1, max_length=MOST_ROWS)]


class LabelColumns(_Part):
    """Labels as columns of equal length: the data of `LabelsLogged`."""

    model: Name
    prediction_id: Annotated[list[Name], Field(min_length=1, max_length=MOST_ROWS, fail_fast=True)]
    label: Annotated[list[FiniteFloat], Field(fail_fast=True)]
    labelled_at: Annotated[list[Time], Field(fail_fast=True)]


class LabelRow(_Part):
    """One label: what really happened, and when that was known."""

    prediction_id: Name
    label: FiniteFloat
    labelled_at: Time


class RangeRow(_Part):
    """One label of all predictions of an entity whose time lies in [`start`, `end`), known or still to come."""

    entity_id: Printable
    start: Time
    end: Time
    label: FiniteFloat
    labelled_at: Time

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start >= self.end:
            raise PydanticCustomError("time_range", "the end of a time range comes after its start")
        return self


class RangeColumns(_Part):
    """Labels by entity as columns of equal length; each row is validated on its own, as `RangeRow`."""

    model: Name
    entity_id: Annotated[list[object], Field(min_length=1, max_length=MOST_ROWS)]
    start: list[object]
    end: list[object]
    label: list[object]
    labelled_at: list[object]


class LabelRows(_Part):
    """Labels as rows; each is validated on its own, as `LabelRow`, or all as `RangeRow` where the first is one."""

    model: Name
    rows: Annotated[list[dict[str, object]], Field(min_length=1, max_length=MOST_ROWS)]


class FeedbackRow(_Part):
    """One number that a prediction has brought, under a name that the loop file declares, and when that was known."""

    prediction_id: Name
    name: Annotated[str, StringConstraints(pattern=FEEDBACK_NAME)]
    value: Annotated[FiniteFloat, Field(ge=-LARGEST_FEEDBACK, le=LARGEST_FEEDBACK)]
    said_at: Time


class FeedbackColumns(_Part):
    """Feedback as columns of equal length; each row is validated on its own, as `FeedbackRow`."""

    model: Name
    prediction_id: Annotated[list[object], Field(min_length=1, max_length=MOST_ROWS)]
    name: list[object]
    value: list[object]
    said_at: list[object]


class FeedbackRows(_Part):
    """Feedback as rows; each is validated on its own, as `FeedbackRow`."""

    model: Name
    rows: Annotated[list[dict[str, object]], Field(min_length=1, max_length=MOST_ROWS)]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Name of a request (its id is computed from it), when it came, and what is known of its model.

    `binary`: whether it tells two classes apart; `signatures`: what its versions were made to be asked; `feedback`:
    which its loop file declares.
    """

    name: str
    now: datetime
    binary: bool = False
    signatures: Signatures = UNKNOWN
    feedback: Mapping[str, Feedback] = field(default_factory=dict)


def from_columns(body: Columns, stamp: Stamp) -> PredictionsLogged:
    """Give the event. Raises `ValidationError` when the columns are not of equal length or name a row twice."""
    _unlike(tuple(body.prediction_id))
    data = body.model_dump(exclude={"model"}, exclude_none=True)
    return PredictionsLogged.named(stamp.name, stamp.now, body.model, **data)


def from_rows(body: About, rows: Sequence[Row], stamp: Stamp) -> PredictionsLogged:
    """Make rows into columns; a feature that a row lacks is None, an entity that it lacks is its prediction id."""
    _unlike(tuple(row.prediction_id for row in rows))
    names = sorted({name for row in rows for name in row.features})
    return PredictionsLogged.named(
        stamp.name,
        stamp.now,
        body.model,
        **body.model_dump(include={"source", "version", "digest", "arm", "epoch"}),
        prediction_id=tuple(row.prediction_id for row in rows),
        times=tuple(row.time for row in rows),
        entity_id=_entities(rows),
        features={name: tuple(row.features.get(name) for row in rows) for name in names},
        score=_optional([row.score for row in rows]),
        label=_optional([row.label for row in rows]),
        latency_ms=_optional([row.latency_ms for row in rows]),
        status=tuple(row.status for row in rows),
    )


def labels_from_columns(body: LabelColumns, stamp: Stamp) -> LabelsLogged:
    """Give the event. Raises `PydanticCustomError` when the columns are not of equal length or name a row twice."""
    _unlike(tuple(body.prediction_id))
    if not len(body.prediction_id) == len(body.label) == len(body.labelled_at):
        raise PydanticCustomError("unequal_columns", "all columns have as many rows as prediction_id")
    return LabelsLogged.named(stamp.name, stamp.now, body.model, **body.model_dump(exclude={"model"}))


def labels_from_rows(model: str, rows: Sequence[LabelRow], stamp: Stamp) -> LabelsLogged:
    """Make rows into columns. Raises `PydanticCustomError` when two name the same prediction."""
    _unlike(tuple(row.prediction_id for row in rows))
    return LabelsLogged.named(
        stamp.name,
        stamp.now,
        model,
        prediction_id=tuple(row.prediction_id for row in rows),
        label=tuple(row.label for row in rows),
        labelled_at=tuple(row.labelled_at for row in rows),
    )


def labels_from_ranges(model: str, rows: Sequence[RangeRow], stamp: Stamp) -> LabelsLogged:
    """Make labels by entity into columns. An entity may have many."""
    columns = {name: tuple(getattr(row, name) for row in rows) for name in RangeRow.model_fields}
    return LabelsLogged.named(stamp.name, stamp.now, model, **columns)


def feedback_from_rows(model: str, rows: Sequence[FeedbackRow], stamp: Stamp) -> FeedbackLogged:
    """Make feedback into columns. A prediction may have several names."""
    columns = {name: tuple(getattr(row, name) for row in rows) for name in FeedbackRow.model_fields}
    known = {"id": named_id(FeedbackLogged.__name__, stamp.name), "time": stamp.now, "model": model}
    return FeedbackLogged.model_validate({**known, **columns})


def undeclared(row: FeedbackRow, stamp: Stamp) -> Wrong | None:
    """Which rule of the loop file a row breaks."""
    return wrong_with(stamp.feedback, row.name, row.value)


def repeated(names: Sequence[str]) -> list[int]:
    """Places of names that an earlier place has: the first of them counts."""
    if len(set(names)) == len(names):
        return []
    first: dict[str, int] = {}
    return [place for place, name in enumerate(names) if first.setdefault(name, place) != place]


def no_class(labels: Sequence[float | None] | None, stamp: Stamp) -> list[int]:
    """Places of labels that are none of the two classes, 0 and 1. Of other tasks any finite number is a label."""
    if labels is None or not stamp.binary:
        return []
    return [place for place, label in enumerate(labels) if label is not None and label not in {0, 1}]


def lacks(event: PredictionsLogged) -> str | None:
    """Say which key a scored request must have and has not: only a bootstrap has no version and no score."""
    if event.source == "bootstrap":
        return None
    if event.version is None:
        return "version"
    failed = event.status is not None and set(event.status) == {"error"}
    return "score" if event.score is None and not failed else None


def unlike(about: PredictionsLogged, stamp: Stamp) -> list[Unlike]:
    """What of scored rows is not as the version that scored them knows it."""
    signature = stamp.signatures.of(about.version) if about.source != "bootstrap" else None
    return signature.unlike(about.features) if signature is not None else []


def _entities(rows: Sequence[Row]) -> tuple[str, ...] | None:
    if all(row.entity_id is None for row in rows):
        return None
    return tuple(row.entity_id if row.entity_id is not None else row.prediction_id for row in rows)


def _optional(values: Sequence[T | None]) -> tuple[T | None, ...] | None:
    return tuple(values) if any(value is not None for value in values) else None
