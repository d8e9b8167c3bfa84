"""When a successor is trained, on which rows, at what cost."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, get_args

from croniter import CroniterBadDateError, croniter
from pydantic import (
    Field,
    Strict,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from everloop.durations import RuleError
from everloop.loop.types import Count, Duration, Number, Part, PositiveDuration, standard

Cause = Literal["drift", "quality", "schedule", "rows"]
Strategy = Literal["rolling", "rolling_rows", "full", "since", "weighted", "tail"]
STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)

# Only what means the same at every call: croniter's `R` and `H` fields would be drawn or hashed.
_FIELD = r"([0-9*,/-]|[A-Z]{3})+"
CRON = rf"^{_FIELD}( {_FIELD}){{4}}$"
Where = Annotated[
    dict[str, Annotated[tuple[StrictStr | StrictFloat | StrictInt, ...], Field(min_length=1, max_length=100)]],
    Field(max_length=10, json_schema_extra={"examples": [{"country": ["CH", "DE"]}]}),
]
_NAME = "[A-Za-z_][A-Za-z0-9_]*"
RECIPE = rf"^{_NAME}(\.{_NAME})*[.:]{_NAME}$"
_SOME_TIME = datetime(2024, 1, 1, tzinfo=UTC)


class Tail(Part):
    """The newest rows, all of them, and a seeded sample of the older ones."""

    recent: PositiveDuration = Field(description="Rows of this length of time are all there.", examples=["30d"])
    rows: Count = Field(description="Most rows of the sample; each weighs as much as all that it stands for.")
    by: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None,
        description="The sample has as many rows of each value of this feature, or of the label: `label`.",
        examples=["label"],
    )


class Golden(Part):
    """Rows that no model learns from and no gate measures on, ever."""

    share: Annotated[Number, Field(gt=0, le=0.5)] = Field(
        description="This share of all entities, the same ones for ever; a row without an entity is its own."
    )


class Data(Part):
    """The rows that a run learns from: exactly one of these keys."""

    rolling: PositiveDuration | None = Field(default=None, description="The newest rows of this length of time.")
    rolling_rows: Count | None = Field(
        default=None, description="The newest so many rows, or fewer where most labels are corrections."
    )
    full: Literal[True] | None = Field(default=None, description="All rows of the archive.")
    since: Literal["change"] | None = Field(default=None, description="The rows since the change that was diagnosed.")
    weighted: PositiveDuration | None = Field(
        default=None, description="All rows, the weight of a row halving with each such length of its age."
    )

    tail: Tail | None = Field(default=None, description="The newest rows, and a sample of the older ones.")

    @model_validator(mode="before")
    @classmethod
    def _exactly_one(cls, data: object) -> object:
        if isinstance(data, dict) and sum(value is not None for value in data.values()) != 1:
            raise RuleError(rule="does not name exactly one strategy", fix=f"write one of {', '.join(STRATEGIES)}")
        return data

    @property
    def strategy(self) -> Strategy:
        """The one key that is set."""
        return next(name for name in STRATEGIES if getattr(self, name) is not None)

    @property
    def span(self) -> timedelta | None:
        """The length of a rolling span, the half-life, or how long rows are recent; none for the others."""
        return self.rolling or self.weighted or (self.tail.recent if self.tail else None)


class Train(Part):
    """When a successor is trained, on which rows, at what cost."""

    on: Annotated[tuple[Cause, ...], Field(max_length=4, json_schema_extra={"uniqueItems": True})] = standard(
        ["drift", "quality"], description="What opens a turn of training, besides a command."
    )
    schedule: Annotated[str, StringConstraints(max_length=100, pattern=CRON)] | None = Field(
        default=None,
        description="When the cause `schedule` fires: cron with five fields, in UTC. Needed by it, and unused without.",
        examples=["0 3 * * *"],
    )
    rows: Count = standard(
        10_000, description="The cause `rows` fires when so many labelled rows came since the last run's cut."
    )
    cooldown: Duration = standard("6h", description="Shortest time between the starts of two runs.")
    max_per_day: Annotated[int, Strict(), Field(ge=1, le=1000)] = standard(
        2, description="Most runs in any 24 hours; commands and the first version do not count."
    )
    fresh_labels: Annotated[int, Strict(), Field(ge=0, le=1_000_000_000)] = standard(
        1000, description="Labelled rows since the change that a run needs."
    )
    wait: PositiveDuration = standard(
        "24h", description="How long a cause waits for its data before the turn is skipped with the figures."
    )
    recipe: Annotated[str, StringConstraints(max_length=256, pattern=RECIPE)] = standard(
        "sklearn.ensemble.HistGradientBoostingClassifier",
        description="What is fitted: the dotted path of an estimator class, or package.module:name of your own.",
    )
    data: Data = standard({"rolling": "90d"}, description="The rows that a run learns from.")
    timeout: PositiveDuration = standard("1h", description="Wall time after which a run is stopped as failed.")
    seed: Annotated[int, Strict(), Field(ge=0, le=2**32 - 1)] = standard(
        0, description="Seed of everything random in a run."
    )
    holdout: Annotated[Number, Field(gt=0, lt=1)] = standard(
        0.3, description="Share of the labelled rows, the newest, that is kept out of training for the gate."
    )
    holdout_by: Literal["entity"] | None = Field(
        default=None, description="`entity`: no entity has rows both in training and in the holdout."
    )
    where: Where = standard({}, description="Values that rows of training and holdout have, by feature.")
    golden: Golden | None = Field(default=None, description="Rows that are kept out of all of it.")

    @field_validator("on")
    @classmethod
    def _once(cls, on: tuple[Cause, ...]) -> tuple[Cause, ...]:
        if len(set(on)) < len(on):
            raise RuleError(rule="names a cause twice", fix="name each cause once")
        return on

    @field_validator("schedule")
    @classmethod
    def _fires(cls, schedule: str | None, info: ValidationInfo) -> str | None:
        if schedule is not None and not _ever_fires(schedule):
            raise RuleError(rule="never fires", fix="write minute, hour, day, month, weekday, such as 0 3 * * *")
        on = info.data.get("on")
        if on is not None and (schedule is None) == ("schedule" in on):
            raise RuleError(
                rule="does not agree with train.on",
                fix='write both: on: [..., schedule] and schedule: "0 3 * * *"; or neither',
            )
        return schedule


def _ever_fires(schedule: str) -> bool:
    """`0 0 30 2 *` is well formed, and there is no 30 February."""
    try:
        croniter(schedule, _SOME_TIME).get_next(datetime)
    except (CroniterBadDateError, ValueError):
        return False
    return re.fullmatch(CRON, schedule) is not None
