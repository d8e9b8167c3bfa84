"""The contracts: every event of Everloop, in the order of its story. Frozen values; past tense for facts.

An event is a CloudEvent: `id`, `time`, `model` (subject), `correlation_id` (the turn of the loop), `causation_id` (the
direct input) and `sequence` (its place in the model's journal) travel as attributes, the other fields as JSON data.
Times of rows are integer milliseconds since 1970 (UTC); times of decisions are aware datetimes of the model's clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self
from uuid import UUID, uuid5

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    JsonValue,
    Strict,
    StringConstraints,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from everloop import diagnoses
from everloop.profile import Calibration, Profile, QualityProfile, Season

ENVELOPE = frozenset({"id", "time", "model", "correlation_id", "causation_id", "sequence"})
EVERY_MODEL = "*"
NAMESPACE = UUID("6f8a2f0e-6c0b-5f0d-9d57-3a5f6e1f7c11")
"""Root of the ids that are computed from names instead of causes."""

MOST_ROWS: Final = 100_000
"""Rows of one prediction record, in whatever form: what a lane can count well within a second."""
MOST_FEATURES: Final = 2_000
"""Features of one prediction record, as at the front door."""
LARGEST_FEEDBACK: Final = 1e12
"""Of a value of feedback, on either side of zero: its millionths fit into 60 bits, so that sums of them are exact."""
FEEDBACK_NAME: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
LATEST_MS: Final = 253_402_300_799_999
"""The end of the year 9999: beyond it no `datetime` can say what time it is."""

Millis = Annotated[int, Field(ge=0, le=LATEST_MS, strict=True)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Unread:
    """Any JSON, not looked at: what a feature's value is worth is for the sketch to count, and never costs its row."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.any_schema()


Number = Annotated[float, Strict()]
"""A JSON number: no truth value, no text that spells one."""
FeedbackName = Annotated[str, StringConstraints(pattern=FEEDBACK_NAME)]
FeedbackValue = Annotated[float, Strict(), Field(ge=-LARGEST_FEEDBACK, le=LARGEST_FEEDBACK)]
Raw = Annotated[JsonValue, _Unread()]


def _in_utc(moment: datetime) -> datetime:
    """Refuse what UTC cannot say: the first and the last hours of the calendar in another time zone."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("time_out_of_range", "lies outside the years 1 to 9999 in UTC") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Value(BaseModel):
    """A frozen part of an event."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Event(Value):
    """What all events carry. `id` is computed from the cause, so a retry says the same event."""

    TYPE: ClassVar[str] = ""
    HIDDEN: ClassVar[bool] = False
    """Whether it carries values of producers. Then `repr` shows the envelope alone: they are nobody's to log."""

    id: UUID
    time: Moment
    model: str
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    sequence: int | None = None

    @classmethod
    def because(cls, cause: Event, now: datetime, **fields: object) -> Self:
        """Build the event that `cause` leads to. One cause leads to one event at most."""
        known: dict[str, object] = {"id": uuid5(cause.id, cls.__name__), "time": now, "model": cause.model}
        turn = {"correlation_id": cause.correlation_id, "causation_id": cause.id}
        return cls.model_validate({**known, **turn, **fields})

    @classmethod
    def named(cls, name: str, /, now: datetime, model: str, **fields: object) -> Self:
        """Build an event that nothing on the log has caused: its id is computed from `name`."""
        return cls.model_validate({"id": named_id(cls.__name__, name), "time": now, "model": model, **fields})

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        """What `repr` and `str` show."""
        return (item for item in super().__repr_args__() if not self.HIDDEN or item[0] in ENVELOPE)


def named_id(kind: str, name: str) -> UUID:
    """The id of the thing `name` of this `kind`: the same name, the same id."""
    return uuid5(NAMESPACE, f"{kind}/{name}")


class Reason(Value):
    """Why something was decided: rule, measured value, limit, sample size, and where the rule was set (rule 8)."""

    rule: str
    measured: float | str | None = None
    limit: float | str | None = None
    samples: int = 0
    where: str = "default"


# ------------------------------------------------------------------------------------------------- what a person says


class LoopApplied(Event):
    """A loop file was applied: all rules of one model."""

    TYPE = "io.everloop.loop.applied.v1"
    loop: Mapping[str, JsonValue]
    digest: str


class TrainingRequested(Event):
    """A person asks for a training run, with another recipe if one is given; `bootstrap` makes the first version.

    `rows`: the run waits until the archive holds so many labelled rows; none: it begins with any.
    """

    TYPE = "io.everloop.training.requested.v1"
    by: str
    recipe: str | None = None
    bootstrap: bool = False
    rows: int | None = None


class ClockMoved(Event):
    """A model's clock: `data` closes windows, `control` makes ticks; a `round` repeats a tick at the same time."""

    TYPE = "io.everloop.clock.moved.v1"
    data: AwareDatetime
    control: AwareDatetime
    round: int = 0


# ------------------------------------------------------------------------------------------------------ the data plane


class ShadowScores(Value):
    """What a shadow version said about the same rows."""

    version: str
    score: tuple[Number | None, ...]


class PredictionsLogged(Event):
    """One scored request of 1..N rows of one version and one arm, as columns of equal length.

    `everloop.rows` reads the same without building one: whoever changes a field here changes it there. A property test
    holds the two together.
    """

    TYPE = "io.everloop.predictions.logged.v1"
    HIDDEN = True
    source: Literal["serving", "producer", "bootstrap"] = "producer"
    version: str | None = None
    digest: str | None = None
    arm: str | None = None
    epoch: Annotated[int, Strict()] | None = None
    prediction_id: Annotated[tuple[str, ...], Field(max_length=MOST_ROWS)]
    times: tuple[Millis, ...]
    entity_id: tuple[str, ...] | None = None
    features: Annotated[Mapping[str, tuple[Raw, ...]], Field(max_length=MOST_FEATURES)]
    score: tuple[Number | None, ...] | None = None
    label: tuple[Number | None, ...] | None = None
    latency_ms: tuple[Number | None, ...] | None = None
    status: tuple[Literal["ok", "error"], ...] | None = None
    shadow: ShadowScores | None = None

    @model_validator(mode="after")
    def _equal_lengths(self) -> Self:
        columns = (self.times, self.entity_id, self.score, self.label, self.latency_ms, self.status)
        named = (*columns, self.shadow.score if self.shadow else None, *self.features.values())
        if any(column is not None and len(column) != len(self.prediction_id) for column in named):
            raise PydanticCustomError("unequal_columns", "all columns have as many rows as prediction_id")
        return self

    @property
    def entities(self) -> tuple[str, ...]:
        """What a row is split and bucketed by: its entity, else its prediction id."""
        return self.entity_id or self.prediction_id


class LabelsLogged(Event):
    """What really happened, by prediction id, or by entity and time range; the last `labelled_at` wins.

    A label with an `entity_id` is that of every prediction of the entity with a time in [`start`, `end`), whether it is
    known or comes later. Then there are no prediction ids.
    """

    TYPE = "io.everloop.labels.logged.v1"
    HIDDEN = True
    prediction_id: tuple[str, ...] = ()
    label: tuple[float, ...]
    labelled_at: tuple[Millis, ...]
    entity_id: tuple[str, ...] | None = None
    start: tuple[Millis, ...] | None = None
    end: tuple[Millis, ...] | None = None


class FeedbackLogged(Event):
    """What predictions have brought beside their labels, by prediction id: numbers under names that the loop file has.

    Columns of equal length. Of one prediction and name the last `said_at` wins.
    """

    TYPE = "io.everloop.feedback.logged.v1"
    HIDDEN = True
    prediction_id: Annotated[tuple[str, ...], Field(max_length=MOST_ROWS)]
    name: tuple[FeedbackName, ...]
    value: tuple[FeedbackValue, ...]
    said_at: tuple[Millis, ...]

    @model_validator(mode="after")
    def _equal_lengths(self) -> Self:
        if {len(self.name), len(self.value), len(self.said_at)} != {len(self.prediction_id)}:
            raise PydanticCustomError("unequal_columns", "all columns have as many rows as prediction_id")
        return self


class HeartbeatSent(Event):
    """Ingest says what time it is, into every partition: `*`, and each model that has a clock of its own."""

    TYPE = "io.everloop.heartbeat.sent.v1"
    replica: str
    clocks: Mapping[str, Millis]


class HeartbeatPassed(Event):
    """A heartbeat handed on behind the rows that came before it, with the partition that it was read in.

    On `partials`, `settled` are the clocks of the last checkpoint: what was final by then is never counted anew.
    """

    TYPE = "io.everloop.heartbeat.passed.v1"
    topic: str
    partition: int
    clocks: Mapping[str, Millis]
    settled: Mapping[str, Millis] = {}


class KeysRouted(Event):
    """Rows on their way to the join, by prediction id: either the keys of predictions or labels.

    `segments` are the values of predictions in the columns that the loop file declares segments by.
    """

    TYPE = "io.everloop.keys.routed.v1"
    HIDDEN = True
    kind: Literal["prediction", "label"]
    source: str
    version: str | None = None
    digest: str | None = None
    arm: str | None = None
    epoch: int | None = None
    shadow_version: str | None = None
    prediction_id: tuple[str, ...]
    times: tuple[Millis, ...]
    bucket: tuple[int, ...] | None = None
    score: tuple[float | None, ...] | None = None
    shadow_score: tuple[float | None, ...] | None = None
    label: tuple[float, ...] | None = None
    entity_id: tuple[str, ...] | None = None
    start: tuple[Millis, ...] | None = None
    end: tuple[Millis, ...] | None = None
    segments: Mapping[str, tuple[Raw, ...]] | None = None


class FeedbackRouted(Event):
    """Feedback of one name on its way to the join, by prediction id; `times` say when it was said."""

    TYPE = "io.everloop.feedback.routed.v1"
    HIDDEN = True
    name: FeedbackName
    prediction_id: tuple[str, ...]
    times: tuple[Millis, ...]
    value: tuple[float, ...]


class OutcomesJoined(Event):
    """Predictions and their labels, joined: one row per label that met its prediction.

    `before` is the label that the row takes the place of, null where it is the first; None: all are. `segments` are the
    values of the predictions in the declared columns, where they carried some.
    """

    TYPE = "io.everloop.outcomes.joined.v1"
    HIDDEN = True
    source: str
    version: str | None = None
    digest: str | None = None
    arm: str | None = None
    epoch: int | None = None
    shadow_version: str | None = None
    prediction_id: tuple[str, ...]
    times: tuple[Millis, ...]
    bucket: tuple[int, ...]
    score: tuple[float | None, ...]
    shadow_score: tuple[float | None, ...] | None = None
    label: tuple[float, ...]
    labelled_at: tuple[Millis, ...]
    before: tuple[float | None, ...] | None = None
    segments: Mapping[str, tuple[Raw, ...]] | None = None


class FeedbackJoined(Event):
    """Predictions and what they brought under one name: one row per value that met its prediction. No labels.

    `before` is the value that the row takes the place of: null where it is the first.
    """

    TYPE = "io.everloop.feedback.joined.v1"
    HIDDEN = True
    name: FeedbackName
    source: str
    version: str | None = None
    digest: str | None = None
    arm: str | None = None
    epoch: int | None = None
    prediction_id: tuple[str, ...]
    times: tuple[Millis, ...]
    bucket: tuple[int, ...]
    value: tuple[float, ...]
    said_at: tuple[Millis, ...]
    before: tuple[float | None, ...]


class Coverage(Value):
    """Rows of one archive file that fall into the slice that begins at `start` (ms)."""

    start: Millis
    rows: int


class ManifestCommitted(Event):
    """A file of the archive is complete: its digest, offsets, rows and what of event time it covers.

    `covers_from` is the first offset behind the last file of this source that counted when the file was written: no row
    of the model lies between it and `first_offset`. `columns`: what the file's columns hold, by name; `size` in bytes.
    """

    TYPE = "io.everloop.manifest.committed.v1"
    kind: Literal["predictions", "outcomes", "feedback"]
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    uri: str
    sha256: str
    rows: int
    history_rows: int
    coverage: tuple[Coverage, ...]
    watermark: Millis
    covers_from: int | None = None
    columns: Mapping[str, str] | None = None
    size: int | None = None


class MergedFile(Value):
    """A file whose rows are in a larger one now. `id` is that of the event that announced it."""

    id: UUID
    sha256: str
    rows: int


class FilesMerged(Event):
    """Small files of one source are one file now, their rows in the same order; readers take it in their place.

    It counts when all that it replaces count and follow each other, in this order, among the files of the source; else
    another merge was first in the log, and this one is void.
    """

    TYPE = "io.everloop.files.merged.v1"
    kind: Literal["predictions", "outcomes", "feedback"]
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    replaces: tuple[MergedFile, ...]
    uri: str
    sha256: str
    rows: int
    history_rows: int
    coverage: tuple[Coverage, ...]
    watermark: Millis
    columns: Mapping[str, str]
    size: int


class FilesExpired(Event):
    """Files of the archive are too old to be used: all their rows are from before `before` (ms) by event time.

    Readers take them no more from here on; their bytes are deleted later. What does not count already is passed over.
    """

    TYPE = "io.everloop.files.expired.v1"
    files: tuple[UUID, ...]
    rows: int
    before: Millis
    reason: Reason


class FilesRemoved(Event):
    """The bytes of files that count no more are deleted, by their digests: replaced, expired, or void."""

    TYPE = "io.everloop.files.removed.v1"
    files: tuple[str, ...]


class PartialSaved(Event):
    """State and output of one partition for one (version, arm, schema, slice), kept by one replica.

    Mergeable counts with the source offset up to which they hold. `added`, `removed` and `retyped` say how the columns
    of these rows differ from the version's profile; revision 1 holds the rows that came after the slice was final.
    """

    TYPE = "io.everloop.partial.saved.v1"
    topic: str
    partition: int
    replica: str
    offset: int
    version: str
    arm: str
    start: Millis
    end: Millis
    revision: int = 0
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    rows: int
    sketch: Mapping[str, JsonValue]


class IdsRemembered(Event):
    """Which records of a partition came before: numbers of their ids (64 bits each, little-endian, in base64).

    One per record from offset `start` on; 0 where a record had no id.
    """

    TYPE = "io.everloop.ids.remembered.v1"
    topic: str
    partition: int
    replica: str
    start: int
    numbers: str


class ClosedSpan(Value):
    """Bounds of a closed window (ms): of the slices that end after `start`, those that end after `fresh` were new.

    `fresh_rows` are the rows of inputs in these, shadows left out. `segments` are the champion's rows by version and
    segment, in the order of the profile.
    """

    kind: Literal["inputs", "outcomes"]
    start: int
    end: Millis
    fresh: int
    predicted: Mapping[str, int] = {}
    fresh_rows: int | None = None
    segments: Mapping[str, tuple[int, ...]] = {}


class WindowsKept(Event):
    """What has been closed of one model, `said` records so far, and what waits for its outcomes or a revision."""

    TYPE = "io.everloop.windows.kept.v1"
    said: int
    until: Millis | None
    start: int | None
    empty: int
    owed: tuple[ClosedSpan, ...]
    revisable: tuple[ClosedSpan, ...]


class BooksKept(Event):
    """What became of each row of a partition up to `offset`: every row is in exactly one count (rule 14).

    Books of drift are a checkpoint of its state as well: `clocks` are those that had been heard by then.
    """

    TYPE = "io.everloop.books.kept.v1"
    group: str
    topic: str
    partition: int
    offset: int
    counted: int
    history: int
    late: int
    duplicate: int
    quarantined: int
    clocks: Mapping[str, Millis] = {}


class ColumnSide(Value):
    """Counts of one column on one side of a comparison: per bin of the profile, and what is in no bin.

    `mean` and `deviation` (population) are of the finite values of a numeric column; None where there is none.
    """

    counts: tuple[int, ...]
    missing: int = 0
    nonfinite: int = 0
    malformed: int = 0
    mean: float | None = None
    deviation: float | None = None


class ColumnWindow(Value):
    """One column in one window beside its reference, in the same bins. See `everloop.profile.ColumnProfile` for them.

    `groups` gives each bin the number of its group, for the measures that want few bins of near-equal reference mass.
    `overall` is the whole reference, where `reference` is that of one time of the day or week.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    current: ColumnSide
    reference: ColumnSide
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    overall: ColumnSide | None = None
    importance: float | None = None


class SchemaSplit(Value):
    """Rows of an arm whose records had other columns than its version's profile: counted apart from the others.

    Names of columns are capped in number and length; `rows` are all rows with this difference.
    """

    rows: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()


class SegmentColumn(Value):
    """One column of a segment beside its reference, in the bins of the arm's column; what is in no bin is `missing`."""

    current: ColumnSide
    reference: ColumnSide


class SegmentWindow(Value):
    """The champion's rows with one value of a declared column; None: all other values, and rows without one.

    `columns` stand in the order of the arm's, `score` is of the same rows.
    """

    column: str
    value: str | None
    rows: int
    columns: tuple[SegmentColumn, ...]
    score: SegmentColumn


class QualityMeasure(Value):
    """One metric on labelled rows, with its two-sided interval at 95 %, beside the reference's value."""

    value: float
    error: float
    lower: float
    upper: float
    rows: int
    reference: float | None = None


class SegmentOutcomes(Value):
    """The champion's labelled rows with one value of a declared column; None: all other values, and rows without one.

    `predicted` are the rows with this value in the inputs window of the same bounds; null where they are not known.
    `quality` is the primary metric, `reference` the same of the holdout; null where it cannot be measured. `positives`
    of the labels, of a binary model.
    """

    column: str
    value: str | None
    rows: int
    predicted: int | None = None
    positives: int | None = None
    quality: QualityMeasure | None = None
    reference: QualityProfile | None = None


class ArmWindow(Value):
    """One arm in one window: rows, its columns and scores, and sums per entity bucket.

    `arm` is `champion`, `candidate`, or `shadow`: what a shadow version said on the champion's rows. `columns` are of
    the rows whose columns are those of the profile, `splits` of the others; `score` and `buckets` are of all `rows`.
    `buckets` maps bucket to sums; see `everloop.sketch.ArmSums`. In an outcomes window `quality` is what
    `everloop.sketch.Labelled` holds, `predicted` the rows of the arm in the inputs window of the same bounds. The rows
    of `columns` stand in `segments` once more, by the values of the columns that the profile has segments of; those of
    `quality` in `outcomes`, where their records carried these values.
    """

    arm: str
    version: str
    rows: int
    columns: tuple[ColumnWindow, ...] = ()
    splits: tuple[SchemaSplit, ...] = ()
    score: ColumnWindow | None = None
    buckets: Mapping[str, JsonValue] = {}
    quality: Mapping[str, JsonValue] = {}
    reference_quality: Mapping[str, float] = {}
    predicted: int | None = None
    task: str = "binary"
    segments: tuple[SegmentWindow, ...] = ()
    outcomes: tuple[SegmentOutcomes, ...] = ()
    season: Season | None = None
    calibration: Calibration | None = None


class LabelsArrived(Value):
    """How labels came to the rows of a model from `start` to `end` (ms), which were in no window before.

    `predicted` rows were served, whatever the arm. `delays` counts those with a label when the window closed, by how
    old the label was; `late` counts labels that came behind the closing of their own windows, since the last window was
    closed. Keys are bins of `everloop.sketch.delays`.
    """

    start: Millis
    end: Millis
    predicted: int
    delays: Mapping[int, int] = {}
    late: Mapping[int, int] = {}


class FeedbackWindow(Value):
    """What the rows of one arm have brought under one name: `counts` is what `everloop.sketch.feedback.Brought` holds.

    `predicted` are the rows of the arm in the inputs window of the same bounds, with feedback or without.
    """

    arm: str
    version: str
    name: FeedbackName
    predicted: int | None = None
    counts: Mapping[str, JsonValue]


class WindowClosed(Event):
    """A window is complete in all partitions; `inputs` at end + grace, `outcomes` at end + label horizon.

    `labels` stands in windows of outcomes that are no revision, `feedback` in those of outcomes.
    """

    TYPE = "io.everloop.window.closed.v1"
    kind: Literal["inputs", "outcomes"]
    start: Millis
    end: Millis
    revision: int = 0
    arms: tuple[ArmWindow, ...]
    rows: int
    labels: LabelsArrived | None = None
    feedback: tuple[FeedbackWindow, ...] = ()


# ------------------------------------------------------------------------------------------------------------- drift


class Episode(StrEnum):
    """Where an episode of drift stands after a window."""

    NONE = "none"
    OPENED = "opened"
    CONTINUING = "continuing"
    CLOSED = "closed"


class Measure(Value):
    """One measured difference: of a column, of the scores, of the stream of errors, or of quality.

    Without a limit it is reported and decides nothing. A value of null was not measurable, and is no drift.
    """

    name: str
    test: str
    value: float | None
    limit: float | None = None
    drifted: bool = False
    rows: int


class ColumnFigures(Value):
    """All measures of one column, in the order of the table's tests, to five digits; null where not measurable.

    `rows` are the values that fell into a bin.
    """

    rows: int
    values: tuple[float | None, ...]


class MeasureTable(Value):
    """All measures of all columns and of the scores, whether or not a limit is set; see docs/drift.md for each test."""

    tests: tuple[str, ...] = ()
    columns: Mapping[str, ColumnFigures] = {}
    score: ColumnFigures | None = None

    def of(self, figures: ColumnFigures | None) -> Mapping[str, float]:
        """What could be measured of one column, or of the scores, by test; empty for what was not measured."""
        pairs = zip(self.tests, figures.values, strict=True) if figures else ()
        return {test: value for test, value in pairs if value is not None}


class LabelAges(Value):
    """How old the labels of a window's rows were when they became known: at most so many ms, half and 95 % of them."""

    p50: Millis
    p95: Millis


class CoverageAt(Value):
    """Share of the predicted rows with a label at most `age` ms old; `usual` is what the delay curve expects."""

    age: Millis
    share: float
    usual: float | None = None


class LabelFlow(Value):
    """How labels come to a model: what arrived with this window (`arrived`, at `at`), and what is learnt of it so far.

    The delay curve is learnt from `windows` windows: it reaches as far as `reach` ms, `ever` is the share of rows that
    get a label at all, and `p50` and `p95` are the delays (ms) that half and 95 % of the labels do not exceed; null
    where nothing is known. `usual` is the share of rows that have a label when their window closes. A window's quality
    is judged from a coverage of `needed` on; null while too little is known to say. `by_age` is of the champion's rows.

    `silent` looks in a row had next to no labels where at least five were due; from `silent_limit` on labels have
    stopped, which `stopped` says window by window, and `since` (ms) when it began.
    """

    at: Millis
    arrived: LabelsArrived
    stopped: Episode
    windows: int = 0
    reach: Millis = 0
    ever: float | None = None
    usual: float | None = None
    p50: Millis | None = None
    p95: Millis | None = None
    needed: float | None = None
    by_age: tuple[CoverageAt, ...] = ()
    silent: int = 0
    silent_limit: int | None = None
    since: Millis | None = None


class Detection(Value):
    """A detector of concept drift fired on the stream of errors, first in the interval that begins at `at`.

    `since` is where it believes the change began, `before` and `after` are mean errors (0 to 1) on both sides of it.
    """

    detector: str
    at: Millis
    since: Millis
    before: float
    after: float


class Fault(Value):
    """Something wrong with what drift compares, not with the world: when it began, goes on, or has ended."""

    kind: diagnoses.FaultKind
    stage: Episode


class SegmentJudged(Value):
    """One segment of a window: share of drifted columns, what differs most, and how its own episode stands.

    A segment with an open episode and too few rows is `too_few`, one of a former champion's `superseded`. In a window
    of outcomes `rows` are labelled ones and every segment is there, with the rows that were `predicted` and its
    `quality` by the primary metric, where these are known: `immature` with too few of the usual labels, `no_reference`
    where the profile has no quality of it, `unjudged` where the window as a whole is not judged.
    """

    column: str
    value: str | None
    rows: int
    verdict: Literal["stable", "drifted", "too_few", "superseded", "immature", "no_reference", "unjudged"]
    share: float | None = None
    worst: Measure | None = None
    episode: Episode
    since: Millis | None = None
    predicted: int | None = None
    quality: QualityMeasure | None = None


class Evidence(Value):
    """What a diagnosis stands on: which test of which column was measured, beside the limit that it passed."""

    name: str
    test: str
    value: float | str | None = None
    limit: float | str | None = None


class Diagnosis(Value):
    """What kind of change a window shows, where, and by which evidence; see docs/drift.md for each kind.

    Columns and evidence are the strongest ones, of a bounded number; no column for what is about scores or labels.
    """

    kind: diagnoses.Kind
    columns: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()


WindowVerdict = Literal[
    "stable", "drifted", "too_few", "reference_warming", "no_reference", "schema_drift", "reference_invalid",
    "data_fault", "labels_immature",
]  # fmt: skip


class ErrorSeries(Value):
    """The stream of errors of a window: labelled rows, wrong rows and sum of loss (in millionths) per interval.

    Columns of equal length, in order of `start`, the intervals' begin; see `everloop.sketch.Labelled`.
    """

    start: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    wrong: tuple[int, ...] = ()
    loss_e6: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _equal_lengths(self) -> Self:
        if len({len(self.start), len(self.rows), len(self.wrong), len(self.loss_e6)}) > 1:
            raise PydanticCustomError("unequal_columns", "all columns have as many intervals as start")
        return self


class RankedColumn(Value):
    """A column by drift x importance: where to look first. It decides nothing.

    `drift` (0 to 1) and `score`, their product, are comparable between columns; an importance of null was not measured,
    and counts like that of the others. P-values are of `ks` for numbers and `chi_square` for categories.
    """

    name: str
    drift: float
    importance: float | None = None
    score: float
    p_value: float | None = None
    p_adjusted: float | None = None


class ChangePoint(Value):
    """When the change of an episode began: most likely at `at`, with 95 % confidence from `earliest` to `latest` (ms).

    `first_bad` is the start of the first window that had drifted. `before` and `after` are what changed, on both sides:
    of inputs the mean drift (0 to 1), of quality the mean error; `before` is null where there was nothing before.
    """

    at: Millis
    earliest: Millis
    latest: Millis
    first_bad: Millis
    before: float | None = None
    after: float


class Budget(Value):
    """What became of a budget of false alarms: `asked`, and `certified`, each as in a loop file (`1 per 30d`).

    The reference has `windows` windows, `needed` are what was asked for needs. The window's statistic was `found`, and
    drift is above `threshold`; both null where the limits are fixed after all, and `note` says why.
    """

    asked: str
    certified: str | None = None
    windows: int = 0
    needed: int = 0
    found: float | None = None
    threshold: float | None = None
    note: str = ""


class WindowJudged(Event):
    """What a window means: the measures, the verdict, and the episode. One per window record.

    `measures` decide, or say why they do not; `figures` are all that was measured of columns, `quality` of labels. A
    revision (a window that late rows changed) is judged like any window and belongs to no episode. `errors` is the
    stream of errors of a window of outcomes, from which detectors are built anew.
    """

    TYPE = "io.everloop.window.judged.v1"
    kind: Literal["inputs", "outcomes"]
    start: Millis
    end: Millis
    revision: int
    version: str | None
    verdict: WindowVerdict
    measures: tuple[Measure, ...]
    reason: Reason
    episode: Episode
    episode_id: UUID | None = None
    episode_kind: Literal["drift", "quality"] | None = None
    change_at: Millis | None = None
    rows: int = 0
    figures: MeasureTable = Field(default_factory=MeasureTable)
    faults: tuple[Fault, ...] = ()
    quality: Mapping[str, QualityMeasure] = {}
    coverage: float | None = None
    label_age: LabelAges | None = None
    errors: ErrorSeries = Field(default_factory=ErrorSeries)
    detections: tuple[Detection, ...] = ()
    ranking: tuple[RankedColumn, ...] = ()
    change: ChangePoint | None = None
    segments: tuple[SegmentJudged, ...] = ()
    season: Season | None = None
    budget: Budget | None = None
    running: Mapping[str, float] = {}
    diagnosis: Diagnosis | None = None
    labels: LabelFlow | None = None


# ---------------------------------------------------------------------------------------------------------- training


class FileRef(Value):
    """A claim check: where bytes are, and the digest that they must have."""

    uri: str
    sha256: str


class Tail(Value):
    """Of the rows with `time < before` (ms) a sample of at most `rows`, as many of each value of `by` if it is named.

    The draw is by hash of `seed` and id; a row that is drawn weighs as much as all that it stands for.
    """

    before: Millis
    rows: int
    by: str | None = None
    seed: int = 0


class Golden(Value):
    """Rows that no model ever learns from: those of `[start, end)` (ms), or this `share` of all entities by hash.

    `inside`: these rows alone, instead of all others.
    """

    start: Millis | None = None
    end: Millis | None = None
    share: float | None = None
    inside: bool = False


class Snapshot(Value):
    """Training data, reproducible by construction: a time range `[start, end)` in ms over files of the archive.

    Of them those with one of the values of `where` in each of its features, and not of the `golden` set; then the
    newest `rows`, or all of the newest and a sample of the `tail`. Labels are as known at `as_of` (ms), the newest ones
    when null. A prediction whose id was there before, from `known_since` (ms) on, is not there again.

    `id` is the digest of the question and of the files' digests, `content` that of the rows, once they were read.
    """

    start: Millis
    end: Millis
    strategy: str
    half_life_ms: int | None = None
    rows: int | None = None
    as_of: Millis | None = None
    known_since: Millis | None = None
    where: Mapping[str, tuple[str | float, ...]] = {}
    tail: Tail | None = None
    golden: Golden | None = None
    id: str | None = None
    content: str | None = None
    predictions: tuple[FileRef, ...]
    outcomes: tuple[FileRef, ...]


class Segmenting(Value):
    """Which columns a version's reference is split by, and how many values of each have a segment of their own."""

    columns: tuple[str, ...]
    most: int


class Watch(Value):
    """How the loop file cuts windows and compares them: for what the reference shows when it is cut so itself.

    Windows from before `since` (ms), the change that the version is trained on, show a world that is gone.
    """

    every_ms: int
    size_ms: int
    rows: int | None = None
    min_rows: int
    test: str
    score_test: str
    season: Literal["auto", "none", "hour_of_day", "hour_of_week"] = "auto"
    since: int | None = None


class TrainingSpec(Value):
    """All that a training job needs; the same specification runs as a child process or in a cluster."""

    recipe: str
    task: str
    seed: int
    features: Mapping[str, str] | None
    snapshot: Snapshot
    holdout: float
    version: str
    timeout_s: float
    segments: Segmenting | None = None
    watch: Watch | None = None
    holdout_by: Literal["entity"] | None = None


class TurnOpened(Event):
    """A cause for training was accepted: it waits for data until its deadline."""

    TYPE = "io.everloop.turn.opened.v1"
    cause: Literal["drift", "quality", "schedule", "rows", "command", "bootstrap", "standing"]
    episode_id: UUID | None = None
    change_at: Millis | None = None
    recipe: str | None = None
    rows: int | None = None
    wait_until: AwareDatetime
    reason: Reason


class TurnDeferred(Event):
    """A cause came that cannot open a turn now; said once per reason. The cause is kept."""

    TYPE = "io.everloop.turn.deferred.v1"
    cause: str
    episode_id: UUID | None = None
    change_at: Millis | None = None
    recipe: str | None = None
    bootstrap: bool = False
    rows: int | None = None
    reason: Reason


class EpisodeNoted(Event):
    """The trainer takes note that an episode has ended, so that it is no standing cause any more."""

    TYPE = "io.everloop.episode.noted.v1"
    episode_id: UUID
    open: bool


class VetoNoted(Event):
    """The trainer takes note of which faults of the data are open: while any is, no cause of the loop trains.

    `ended` is an episode that was over with the same window.
    """

    TYPE = "io.everloop.veto.noted.v1"
    kinds: tuple[str, ...]
    ended: UUID | None = None
    reason: Reason


class TrainingStarted(Event):
    """A training job starts, or starts again with a higher attempt."""

    TYPE = "io.everloop.training.started.v1"
    attempt: int
    spec: TrainingSpec
    fresh_labels: int
    reason: Reason


class ModelVersionCreated(Event):
    """A version exists: its bytes by digest, what it was trained on, its reference profile and holdout."""

    TYPE = "io.everloop.model-version.created.v1"
    version: str
    artifact: FileRef
    size: int
    task: str
    recipe: str
    features: Mapping[str, str]
    profile: Profile
    metrics: Mapping[str, float]
    snapshot: Snapshot
    holdout: Snapshot
    train_rows: int
    holdout_rows: int
    cut: Millis
    run_id: str | None = None
    bootstrap: bool = False
    seconds: float = 0.0


class TrainingFailed(Event):
    """The job ended without a version; the turn is over."""

    TYPE = "io.everloop.training.failed.v1"
    attempt: int
    error: str
    reason: Reason


class TrainingSkipped(Event):
    """The deadline of waiting for data passed; the turn is over."""

    TYPE = "io.everloop.training.skipped.v1"
    reason: Reason


class TurnClosed(Event):
    """The turn of the loop is over: what the gate or the rollout said of its version."""

    TYPE = "io.everloop.turn.closed.v1"
    outcome: Literal["promoted", "refused", "aborted", "superseded"]
    version: str


# ---------------------------------------------------------------------------------------------------------- verdicts


class Check(Value):
    """One check of the gate, always reported."""

    name: str
    verdict: Literal["pass", "fail", "too_few", "skipped"]
    reason: Reason
    detail: Mapping[str, float | str] = {}


class ChampionRef(Value):
    """The champion that something was measured against."""

    version: str
    artifact: FileRef
    features: Mapping[str, str]
    task: str = "binary"


class CheckSpec(Value):
    """All that the measuring job of the gate needs."""

    version: str
    artifact: FileRef
    features: Mapping[str, str]
    task: str
    champion: ChampionRef | None
    holdout: Snapshot
    latency_rows: int
    timeout_s: float
    metrics: tuple[str, ...] = ()


class VersionReceived(Event):
    """The gate has a version to check; it waits for the next tick to know its champion."""

    TYPE = "io.everloop.version.received.v1"
    version: str
    created: ModelVersionCreated
    deadline: AwareDatetime


class ChecksStarted(Event):
    """The measuring job starts, or starts again with a higher attempt.

    `measurement` counts how often the version has been measured (again after a hold), `failures` the attempts of this
    measurement that failed, restarts of the service left out.
    """

    TYPE = "io.everloop.checks.started.v1"
    attempt: int
    spec: CheckSpec
    archived_rows: int
    measurement: int = 1
    failures: int = 0


class SignedVerdict(Value):
    """What a model needs to be served: the gate's signature over its digest (rule 10)."""

    model: str
    version: str
    artifact: FileRef
    features: Mapping[str, str]
    task: str
    champion: str | None
    passed_at: AwareDatetime
    key_id: str = ""
    signature: str = ""


class VersionPassed(Event):
    """All checks passed, against the champion named in the verdict."""

    TYPE = "io.everloop.version.passed.v1"
    version: str
    champion: str | None
    checks: tuple[Check, ...]
    verdict: SignedVerdict


class VersionRefused(Event):
    """At least one check failed, or a hold met its deadline; the failing checks are named."""

    TYPE = "io.everloop.version.refused.v1"
    version: str
    champion: str | None
    checks: tuple[Check, ...]
    failed: tuple[str, ...]


class VersionHeld(Event):
    """Too few rows to say: measured again when the archive has grown, refused at the deadline."""

    TYPE = "io.everloop.version.held.v1"
    version: str
    champion: str | None
    checks: tuple[Check, ...]
    until: AwareDatetime
    archived_rows: int


# ---------------------------------------------------------------------------------------------------------- rollouts


class Phase(StrEnum):
    """Where a rollout stands."""

    SHADOW = "shadow"
    CANARY = "canary"
    WATCH = "watch"
    DONE = "done"


class Look(Value):
    """One measure of one look: interval, limit, and what it says."""

    measure: str
    estimate: float | None
    lower: float | None
    upper: float | None
    limit: float | None
    verdict: Literal["advance", "abort", "hold"]
    rule: str
    samples: int


class RolloutStarted(Event):
    """A passed version enters shadow: the champion keeps 100 %. `deadline` is that of the first phase."""

    TYPE = "io.everloop.rollout.started.v1"
    version: str
    champion: str
    verdict: SignedVerdict
    deadline: AwareDatetime
    salt: str
    ttl_s: float = 30.0
    shadow: bool = True


class WindowLooked(Event):
    """One look at the arms, with the evidence so far."""

    TYPE = "io.everloop.window.looked.v1"
    version: str
    phase: Phase
    kind: Literal["inputs", "outcomes"]
    start: Millis
    end: Millis
    looks: tuple[Look, ...]
    verdict: Literal["advance", "abort", "hold"]
    evidence: Mapping[str, JsonValue] = {}


class StepTaken(Event):
    """The candidate's weight changed to the next step."""

    TYPE = "io.everloop.step.taken.v1"
    version: str
    phase: Phase
    weight: Share
    reason: Reason


class VersionPromoted(Event):
    """The candidate is the champion: traffic, alias and drift reference follow from this record."""

    TYPE = "io.everloop.version.promoted.v1"
    version: str
    previous: str | None
    verdict: SignedVerdict
    salt: str
    reason: Reason
    ttl_s: float = 30.0


class RolloutAborted(Event):
    """The candidate goes, the champion has 100 %."""

    TYPE = "io.everloop.rollout.aborted.v1"
    version: str
    champion: str
    phase: Phase
    reason: Reason
    looks: tuple[Look, ...] = ()


class VersionRolledBack(Event):
    """After a promotion the watch failed: the previous champion serves again."""

    TYPE = "io.everloop.version.rolled-back.v1"
    version: str
    champion: str
    verdict: SignedVerdict
    salt: str
    reason: Reason
    looks: tuple[Look, ...] = ()


class VerdictStale(Event):
    """The verdict names a champion that is not the champion any more, or another version's rollout is live.

    The gate measures again, in the second case not before the rollout of `rollout_live` has ended.
    """

    TYPE = "io.everloop.verdict.stale.v1"
    version: str
    measured_against: str | None
    champion: str | None
    rollout_live: str | None = None


class ArmPlan(Value):
    """One arm of a plan: its version, its weight and the signed verdict that allows it to serve."""

    arm: str
    version: str
    weight: Share
    verdict: SignedVerdict


class TrafficPlanned(Event):
    """The split that serving obeys: a lease of `ttl_s` wall seconds from the record's append time."""

    TYPE = "io.everloop.traffic.planned.v1"
    epoch: int
    salt: str
    ttl_s: float
    arms: tuple[ArmPlan, ...]
    shadow: ArmPlan | None = None
    supersedes: int | None = None


# ----------------------------------------------------------------------------------------------------------- reports


class ColumnTest(Value):
    """How the report compares a column: the loop file's test and limit."""

    test: str
    limit: float


class ReportSpec(Value):
    """All that the reporting job needs: rows `start <= time < end` of a version, and `reference_start <= time < cut`.

    Of each side at most `most_rows` rows are read. The child may use `memory_mb` MiB of address space.
    """

    version: str
    start: Millis
    end: Millis
    reference_start: Millis
    cut: Millis
    window: tuple[FileRef, ...]
    reference: tuple[FileRef, ...]
    features: Mapping[str, str]
    default: ColumnTest
    columns: Mapping[str, ColumnTest] = {}
    share: float
    most_rows: int
    seed: int
    memory_mb: int
    timeout_s: float


class DomainAuc(Value):
    """How well a classifier tells the window's rows from the reference's, on rows that it has not seen (0.5: not).

    With its two-sided interval at 95 %; see docs/drift.md.
    """

    value: float
    error: float
    lower: float
    upper: float
    rows: int


class EnergyDistance(Value):
    """The energy distance of window and reference over all columns, and its p-value by permutation."""

    distance: float
    p_value: float
    rows: int
    permutations: int


class ReportRequested(Event):
    """A judged window gets a full report, as soon as the archive has its rows; at `wait_until` of those that it has."""

    TYPE = "io.everloop.report.requested.v1"
    judged: UUID
    version: str
    start: Millis
    end: Millis
    rows: int
    episode: Episode
    episode_id: UUID | None = None
    wait_until: AwareDatetime
    reason: Reason


class ReportStarted(Event):
    """The reporting job starts, or starts again with a higher attempt. `failures` are attempts that ended badly."""

    TYPE = "io.everloop.report.started.v1"
    judged: UUID
    attempt: int
    spec: ReportSpec
    failures: int = 0
    reason: Reason


class ReportWritten(Event):
    """The full report of a judged window: as a page and as data, with what single columns cannot show.

    `left_out` says of columns that the report could not compare why not.
    """

    TYPE = "io.everloop.report.written.v1"
    judged: UUID
    version: str
    start: Millis
    end: Millis
    episode: Episode
    episode_id: UUID | None = None
    html: FileRef
    data: FileRef
    rows: int
    reference_rows: int
    auc: DomainAuc | None = None
    energy: EnergyDistance | None = None
    left_out: Mapping[str, str] = {}
    seconds: float = 0.0


class ReportFailed(Event):
    """There will be no report of this window; attempt 0: none was begun."""

    TYPE = "io.everloop.report.failed.v1"
    judged: UUID
    version: str
    start: Millis
    end: Millis
    attempt: int
    error: str
    reason: Reason


# ----------------------------------------------------------------------------------------------- what everybody says


Severity = Literal["info", "warning", "error"]


class AlertRaised(Event):
    """One sentence for a person, with the event that it stands on."""

    TYPE = "io.everloop.alert.raised.v1"
    name: str
    severity: Severity
    summary: str
    details: Mapping[str, JsonValue] = {}

    @classmethod
    def about(
        cls, event: Event, by: str, *, name: str, severity: Severity, summary: str, **details: JsonValue
    ) -> AlertRaised:
        """The alert `name` of the service `by` that stands on `event`; said again, it is the same."""
        return cls(
            id=named_id("AlertRaised", f"{by}/{name}/{event.id}"), time=event.time, model=event.model,
            correlation_id=event.correlation_id, causation_id=event.id, name=name, severity=severity, summary=summary,
            details=details,
        )  # fmt: skip


class DeadLettered(Event):
    """A record or a request that could not be handled: where it was, why, and its original bytes (base64).

    What the front door refused never stood on a topic: its offset is -1. `size` is that of the original value in bytes;
    where fewer are kept it cannot be replayed. `headers` are those that say how to read it, values in base64.
    """

    TYPE = "io.everloop.record.dead-lettered.v1"
    HIDDEN = True
    topic: str
    partition: int
    offset: int
    reason: str
    stage: str
    error: str
    key: str | None = None
    value: str | None = None
    where: str = ""
    size: int | None = None
    headers: Mapping[str, str] = {}


# ------------------------------------------------------------------------------- inputs that are not on any topic


class Tick(Event):
    """Time passed for one model. Not a delivery: a missed tick is not made up."""


class JobEnded(Event):
    """The outcome of long work, as an input to the decider that started it."""

    started: UUID
    attempt: int
    ok: bool
    result: Mapping[str, JsonValue] = {}
    error: str = ""


class JobOrphaned(Event):
    """A holder found long work that was started and has no end: it may be started again."""

    started: UUID
    attempt: int


def _wire_types(root: type[Event]) -> dict[str, type[Event]]:
    found = {root.TYPE: root} if root.TYPE else {}
    for child in root.__subclasses__():
        found |= _wire_types(child)
    return found


TYPES: Mapping[str, type[Event]] = _wire_types(Event)
"""Every event that travels on a topic, by its CloudEvents type."""
