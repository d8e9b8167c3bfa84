"""What is watched: columns, windows, labels, drift."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, ValidationInfo, field_validator, model_validator

from everloop.durations import RuleError
from everloop.loop.types import Count, Duration, FalseAlarms, Name, Number, Part, PositiveDuration, standard

Test = Literal["psi", "ks", "chi_square", "jensen_shannon", "wasserstein"]
FeatureKind = Literal["numeric", "categorical"]
Detector = Literal["adwin", "page_hinkley", "ddm", "hddm_a"]
Reports = Literal["opened", "drifted", "every", "none"]

P_VALUE_TESTS: frozenset[Test] = frozenset({"ks", "chi_square"})
"""Their limit is a p-value: drift is below it. The other tests are distances: drift is at or above the limit."""

LIMITS: dict[Test, float] = {
    "psi": 0.2,
    "ks": 0.01,
    "chi_square": 0.05,
    "jensen_shannon": 0.1,
    "wasserstein": 0.1,
}
"""The limit of a test where the file names only the test."""


class Columns(Part):
    """Which columns of the data play which part. The four are different columns."""

    id: Name = Field(description="Column that identifies one prediction; labels are joined on it.")
    time: Name = Field(description="Column with the event time of a row.")
    label: Name = Field(description="Column with what really happened; never a feature.")
    entity: Name | None = Field(
        default=None,
        description="Column with whom a prediction is about (card, customer); an entity stays on one arm. "
        "Default: none, each prediction is its own entity.",
    )

    @model_validator(mode="after")
    def _differ(self) -> Self:
        named = [name for name in (self.id, self.time, self.label, self.entity) if name is not None]
        if len(set(named)) < len(named):
            raise RuleError(rule="names one column twice", fix="give id, time, label and entity a column each")
        return self


class Door(Part):
    """What the front door makes of rows."""

    signature: Literal["warn", "refuse"] = standard(
        "warn",
        description="What becomes of rows that lack a feature of the model's version, have another one, or text "
        "where it has numbers. `warn`: they are taken, and the answer says so. `refuse`: they are answered 422 and are "
        "dead letters, where drift does not see them.",
    )


class Segments(Part):
    """Parts of the rows that are watched by themselves: one for each value of each column."""

    columns: Annotated[tuple[Name, ...], Field(min_length=1, max_length=4, json_schema_extra={"uniqueItems": True})] = (
        Field(description="Columns of the rows, features or not, at most 4; each by itself, not crossed.")
    )
    most: Annotated[int, Strict(), Field(ge=1, le=100)] = standard(
        20,
        description="Values of a column that have a segment of their own, the most frequent ones of the reference; all "
        "else is one segment, `other`. At most 100.",
    )

    @field_validator("columns")
    @classmethod
    def _once(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(columns)) < len(columns):
            raise RuleError(rule="names a column twice", fix="name each column once")
        return columns


class Windows(Part):
    """How the stream is cut into windows of event time."""

    every: PositiveDuration = standard(
        "15m", description="Length of a slice, the smallest window, and how often a window may close. Above zero."
    )
    size: PositiveDuration | None = Field(
        default=None,
        description="Length of a window, a multiple of `every`: windows slide by `every`. Default: `every`, so that "
        "each follows the one before.",
    )
    grace: Duration = standard(
        "2m", description="How long after its end a window waits for late rows. Shorter than `every`."
    )
    revise: Duration = standard(
        "0s",
        description="How long after a window has closed late rows are still taken, into one revision of it. "
        "0s: they are dropped with a count.",
    )
    min_rows: Count = standard(
        500,
        description="A window with fewer rows is not judged: too few to tell. With `rows` it is half of them at most.",
    )
    rows: Count | None = Field(
        default=None,
        description="Close a window at the first boundary of `every` where it has this many rows. Default: by time.",
    )
    sliding: Annotated[bool, Strict()] = standard(
        value=False,
        description="With `rows`: at each boundary look at the newest slices that have so many rows together, instead "
        "of starting anew after each window.",
    )
    segments: Segments | None = Field(
        default=None,
        description="Judge parts of the rows by themselves, too, from the next version on: a version's reference says "
        "which segments there are. Default: none.",
    )

    @field_validator("size")
    @classmethod
    def _of_slices(cls, size: timedelta | None, info: ValidationInfo) -> timedelta | None:
        every = info.data.get("every")
        if size is not None and every is not None and (size % every or size < every):
            raise RuleError(rule="is no multiple of windows.every", fix="write a multiple, such as 4 times as long")
        return size

    @field_validator("grace")
    @classmethod
    def _shorter(cls, grace: timedelta, info: ValidationInfo) -> timedelta:
        every = info.data.get("every")
        if every is not None and grace >= every:
            raise RuleError(rule="is too long", fix="windows.grace must be shorter than windows.every")
        return grace

    @field_validator("rows")
    @classmethod
    def _time_or_rows(cls, rows: int | None, info: ValidationInfo) -> int | None:
        if rows is not None and info.data.get("size") is not None:
            raise RuleError(rule="cannot stand beside windows.size", fix="cut by time or by rows: remove one of them")
        return rows

    @field_validator("sliding")
    @classmethod
    def _by_rows(cls, sliding: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 -- pydantic's signature
        if sliding and info.data.get("rows") is None:
            raise RuleError(rule="belongs to windows.rows", fix="write windows.size to slide by time, or remove it")
        return sliding


class Archive(Part):
    """How long rows are kept for training."""

    keep: PositiveDuration | None = Field(
        default=None, description="Rows older than this, by their own time, expire. Default: kept for ever."
    )
    grace: Duration = standard(
        "7d", description="Wall time for which bytes stay that were merged into others, or have expired."
    )


class Labels(Part):
    """When what really happened becomes known."""

    horizon: Duration = standard(
        "1h",
        description="How long after its end a window waits for labels before its quality is closed. Zero or more.",
    )
    delay: Duration = standard(
        "0s", description="How late `everloop replay` and the demo hand in labels; nothing else uses it."
    )
    matured: Annotated[Number, Field(ge=0, le=1)] = standard(
        0.8,
        description="Quality of a window is judged from this share on of the labels that its rows usually get at all: "
        "early labels are often other than late ones. 0: whatever has come is judged.",
    )


class Limit(Part):
    """One test and its limit. psi, jensen_shannon and wasserstein are distances: drift is at or above the limit.

    ks and chi_square are p-values: drift is below it.
    """

    test: Test = standard("psi", description="How the distance between a window and the reference is measured.")
    limit: Annotated[Number, Field(gt=0, le=1000)] = standard(
        0.2,
        description="Largest distance that is not drift (psi; jensen_shannon: base 2; wasserstein: in standard "
        "deviations of the reference), or the p-value from which down it is (ks, chi_square; below 1). "
        f"Default by test: {', '.join(f'{test} {limit}' for test, limit in LIMITS.items())}.",
    )

    @model_validator(mode="before")
    @classmethod
    def _limit_of_the_test(cls, data: object) -> object:
        if isinstance(data, dict) and "limit" not in data:
            known = [limit for test, limit in LIMITS.items() if test == data.get("test")]
            return {**data, "limit": known[0]} if known else data
        return data

    @model_validator(mode="after")
    def _is_a_p_value(self) -> Self:
        if self.is_p_value and self.limit >= 1:
            raise RuleError(
                rule="is not a p-value", fix="for ks and chi_square write a limit below 1, such as 0.01", at=("limit",)
            )
        return self

    @property
    def is_p_value(self) -> bool:
        """Whether drift is below the limit (a p-value) instead of at or above it (a distance)."""
        return self.test in P_VALUE_TESTS


class Quality(Part):
    """When realised quality counts as fallen."""

    drop: Annotated[Number, Field(gt=0, le=1_000_000)] = standard(
        0.03,
        description="Fall of the primary metric against the reference (of rmse: its rise), in the metric's own unit, "
        "that is an alarm: when the lower 95 % bound of it is above this.",
    )


class Concept(Part):
    """Detectors of concept drift, on the stream of errors of labelled rows."""

    detectors: Annotated[tuple[Detector, ...], Field(max_length=4, json_schema_extra={"uniqueItems": True})] = standard(
        ["adwin", "page_hinkley", "ddm"],
        description="Which of River's detectors hear the errors; what they find is reported. An empty list: none.",
    )
    decides: Annotated[bool, Strict()] = standard(
        False,  # noqa: FBT003 - a default, no flag
        description="Whether a detector that fires opens an episode of quality by itself, without `confirm`.",
    )

    @field_validator("detectors")
    @classmethod
    def _once(cls, detectors: tuple[Detector, ...]) -> tuple[Detector, ...]:
        if len(set(detectors)) < len(detectors):
            raise RuleError(rule="names a detector twice", fix="name each detector once")
        return detectors


class Drift(Part):
    """When the world has moved."""

    default: Limit = standard({}, description="Test and limit of every feature that `columns` does not name.")
    columns: Annotated[Mapping[Name, Limit], Field(max_length=10_000)] = standard(
        {}, description="Test and limit of single features."
    )
    share: Annotated[Number, Field(gt=0, le=1)] = standard(
        0.3, description="Share of drifted features from which on a window has drifted. Above 0, at most 1."
    )
    confirm: Annotated[int, Strict(), Field(ge=1, le=1000)] = standard(
        2, description="Drifted windows in a row that open an episode."
    )
    score: Limit = standard({}, description="Test and limit of the model's scores.")
    quality: Quality = standard({}, description="When realised quality counts as fallen.")
    reports: Reports = standard(
        "opened",
        description="Which judged windows get a full report (HTML and JSON) in the background: `opened`: where an "
        "episode of drift opens or closes; `drifted`: each drifted window as well; `every`: each window that was "
        "judged; `none`. At most 24 a day.",
    )
    concept: Concept = standard({}, description="Detectors of concept drift on the errors of labelled rows.")
    false_alarms: FalseAlarms | None = Field(
        default=None,
        description="How many false alarms of inputs and scores are acceptable, such as 1 per 30d: limits are then "
        "made from what the reference itself shows; of `default` and `score` only the tests are used, and `share` not. "
        "Default: none, limits as written.",
    )
    season: Literal["auto", "none", "hour_of_day", "hour_of_week"] = standard(
        "auto",
        description="With which hours (UTC) of the reference a window is compared: the same hour of the day, or of the "
        "week. auto: as the reference shows. Read when a version is trained; it holds for that version.",
    )

    @model_validator(mode="after")
    def _a_budget_has_no_columns(self) -> Self:
        if self.false_alarms is not None and self.columns:
            raise RuleError(
                rule="cannot stand beside drift.columns",
                fix="a budget makes the limit of every column: remove one of them",
                at=("false_alarms",),
            )
        return self
