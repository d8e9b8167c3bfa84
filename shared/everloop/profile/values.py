"""What a profile says, as frozen values whose JSON round trip is exact."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class _Value(BaseModel):
    """Frozen, and nothing beyond the named fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SlotCounts(_Value):
    """A column by slot of the season: `counts` packs whole numbers, shape (slots, bins + 3), see `profile.seasons`.

    Behind the bins stand values that are missing, not finite, malformed. `mean` and `deviation` are per slot.
    """

    counts: str
    mean: tuple[Finite | None, ...] = ()
    deviation: tuple[Finite | None, ...] = ()


class ColumnProfile(_Value):
    """One column of the reference.

    A numeric column has `len(edges) + 1` bins: bin i holds `edges[i-1] <= x < edges[i]`. The first edge is the smallest
    reference value and the last lies just above the largest, so the outermost bins hold what the reference never had. A
    categorical column has a bin per category, most frequent first, and `other` last. `blocks` are the same counts
    per contiguous stretch of time, oldest first. `mean` and `deviation` (population) are of the finite values of a
    numeric column, None where there are none. `importance` is the column's share of what the model's worth loses when
    columns are shuffled; None where that was not measured. `slots` are counts by hour where the profile has a season.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    edges: tuple[Finite, ...] = ()
    categories: tuple[str, ...] = ()
    counts: tuple[Count, ...]
    missing: Count = 0
    nonfinite: Count = 0
    malformed: Count = 0
    mean: Finite | None = None
    deviation: Annotated[Finite, Field(ge=0)] | None = None
    blocks: tuple[tuple[Count, ...], ...] = ()
    slots: SlotCounts | None = None
    importance: Annotated[Finite, Field(ge=0)] | None = None

    @property
    def present(self) -> int:
        """How many reference values fell into a bin."""
        return sum(self.counts)

    @model_validator(mode="after")
    def _shape(self) -> Self:
        """Counts belong to bins, and bins to one kind."""
        unused = self.edges if self.kind == "categorical" else self.categories
        bins = len(self.categories if self.kind == "categorical" else self.edges) + 1
        if unused or any(len(counts) != bins for counts in (self.counts, *self.blocks)):
            message = (
                f"column {self.name!r}: a {self.kind} column with these bins needs {bins} counts per row of counts"
            )
            raise ValueError(message)
        if any(low >= high for low, high in pairwise(self.edges)):
            message = f"column {self.name!r}: edges must ascend strictly"
            raise ValueError(message)
        if len(set(self.categories)) != len(self.categories):
            message = f"column {self.name!r}: categories must differ"
            raise ValueError(message)
        return self


class AlarmCurve(_Value):
    """Alarms to be expected in the span of the reference by threshold, from few to many; columns of equal length."""

    alarms: tuple[Finite, ...]
    threshold: tuple[Finite, ...]

    @property
    def points(self) -> list[tuple[float, float]]:
        """Alarms and threshold, in pairs."""
        return list(zip(self.alarms, self.threshold, strict=True))


class Band(_Value):
    """What a statistic of windows usually is: its median, and how far above that its 95 % quantile lies."""

    middle: Finite
    reach: Annotated[Finite, Field(ge=1e-9)]

    def standing(self, found: float) -> float:
        """How far above the usual a value is, in units of `reach`."""
        return (found - self.middle) / self.reach

    def value(self, standing: float) -> float:
        """The value that stands so far above the usual."""
        return self.middle + standing * self.reach


class Bands(_Value):
    """The usual of a window's strongest column, and of the running statistics: of the strongest column, and of all."""

    window: Band
    column: Band
    joint: Band


class Calibration(_Value):
    """What windows of the reference show while nothing happens: what a budget of false alarms is turned into limits by.

    Windows are cut as the loop file cuts them (`every_ms`, `size_ms`, or by `rows`); `windows` of them over `span_ms`
    of time were measured by `test` (scores: `score_test`). By column (`score`: the scores): `unit` is what divergences
    have beyond their noise, `center` and `spread` are mean and deviation of the cube root of the ratio; see
    `everloop.measures.divergence`. `shift` is by column and component (`amount/0`) what the variance of mean scores has
    beyond its noise; see `everloop.measures.components`. `bands` say what statistics usually are; a calibration without
    is of an older release, and is not used. `curves` are by number of confirming windows.
    """

    every_ms: Count
    size_ms: Count
    rows: Count | None = None
    windows: Count
    span_ms: Count
    test: str
    score_test: str
    unit: Mapping[str, Finite]
    shift: Mapping[str, Finite]
    center: Mapping[str, Finite]
    spread: Mapping[str, Finite]
    bands: Bands | None = None
    curves: Mapping[int, AlarmCurve]

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_release(cls, data: object) -> object:
        """Leave out what is not used any more."""
        gone = {"scale", "running_scale"}
        return {name: one for name, one in data.items() if name not in gone} if isinstance(data, dict) else data


Season = Literal["hour_of_day", "hour_of_week"]


class QualityProfile(_Value):
    """One quality metric on out-of-time holdout rows, and the standard error with which it foretells that of a window.

    Where the holdout has windows enough it is their mean, and what they differ by is in the error.
    """

    metric: str
    value: Finite
    standard_error: Finite
    rows: Count
    positives: Count


class Segmentation(_Value):
    """The reference split by the values of one column: a segment per value, most frequent first, and `other` last.

    `rows` are those of each segment. Packed (see `everloop.profile.segments`), shapes: `counts` (segments, bins of all
    columns in the profile's order, then of the scores); `lost` (segments, columns + 1), rows in no bin; `moments`
    (segments, columns + 1, 2), mean and deviation of finite values, NaN where there are none. `quality` is the primary
    metric of the holdout's rows of each segment; null where it cannot be measured, and empty in profiles that were made
    before it was.
    """

    column: str
    kind: Literal["numeric", "categorical"]
    values: Annotated[tuple[str, ...], Field(max_length=100)]
    rows: tuple[Count, ...]
    counts: str
    lost: str
    moments: str
    quality: tuple[QualityProfile | None, ...] = ()

    @model_validator(mode="after")
    def _shape(self) -> Self:
        """One more than the values, which differ."""
        if len(self.rows) != len(self.values) + 1 or len(set(self.values)) != len(self.values):
            message = f"segments of {self.column!r}: values must differ, and rows be one more than them"
            raise ValueError(message)
        if self.quality and len(self.quality) != len(self.rows):
            message = f"segments of {self.column!r}: there must be as many of quality as of rows"
            raise ValueError(message)
        return self


class Profile(_Value):
    """The whole reference: `rows` rows of inputs, the scores of the holdout, and its quality.

    `ignored` are columns that records had and the model does not use: they are known, their coming is no news.
    `season` is by which hour windows are compared (UTC), and `season_why` why so, or why by none.
    """

    rows: Count
    columns: tuple[ColumnProfile, ...]
    score: ColumnProfile
    quality: tuple[QualityProfile, ...] = ()
    positive_rate: Finite | None = None
    ignored: tuple[str, ...] = ()
    season: Season | None = None
    season_why: str = ""
    calibration: Calibration | None = None
    segments: tuple[Segmentation, ...] = ()

    @model_validator(mode="after")
    def _names(self) -> Self:
        """A column is found by its name."""
        if len({column.name for column in self.columns}) != len(self.columns):
            message = "two columns of a profile have the same name: rename one"
            raise ValueError(message)
        return self
