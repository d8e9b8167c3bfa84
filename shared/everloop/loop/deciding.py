"""What a version must pass, and how it takes over."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from everloop.durations import RuleError
from everloop.loop.metrics import AT_MOST_ONE, Metric
from everloop.loop.types import Count, Duration, Number, Part, Percent, PositiveDuration, Size, standard


class Keep(Part):
    """How much of the champion's worth a challenger must keep."""

    at_least: Percent = standard(
        "99%",
        description="Share of the champion's metric that must be kept; a loss may grow to champion / share. Above 0%.",
    )

    @field_validator("at_least")
    @classmethod
    def _above_nothing(cls, share: float) -> float:
        if share == 0:
            raise RuleError(rule="keeps nothing", fix="write a percentage above 0%, such as 99%")
        return share


class Gate(Part):
    """What a version must pass before it may take traffic."""

    floor: Mapping[Metric, Annotated[Number, Field(ge=0)]] = standard(
        {},
        description="Worst value of each metric that passes; for the losses log_loss, brier, rmse and mae the largest. "
        "No default: without a floor the gate says that none is set.",
    )
    champion: Mapping[Metric, Keep] = standard(
        {},
        description="Non-inferiority against the champion, by metric. Default: the task's primary metric at 99%.",
    )
    latency_p95: PositiveDuration = standard(
        "100ms", description="Largest 95th percentile of the time that scoring one row takes."
    )
    size: Size = standard("100MB", description="Largest size of the model's file; 1 MB is 1,000,000 bytes.")
    approval: Literal["auto", "manual"] = standard(
        "auto", description="Who has the last word. `manual` is not supported yet, and refused."
    )
    deadline: PositiveDuration = standard(
        "12h", description="How long a version may be held for want of evidence before it is refused."
    )

    @field_validator("floor")
    @classmethod
    def _reachable(cls, floor: Mapping[Metric, float]) -> Mapping[Metric, float]:
        for name, value in floor.items():
            if name in AT_MOST_ONE and value > 1:
                raise RuleError(rule="is out of bounds", fix=f"{name} is at most 1: write 0.8 for 80 %", at=(name,))
        return floor

    @field_validator("approval")
    @classmethod
    def _not_yet(cls, approval: str) -> str:
        if approval == "manual":
            raise RuleError(rule="is not supported yet", fix="write approval: auto, or remove the key")
        return approval


class Abort(Part):
    """Limits that end a rollout when the lower anytime-valid bound of the candidate's measure passes them."""

    error_rate: Percent = standard("1%", description="Largest share of requests that fail.")
    latency_p95: PositiveDuration | None = Field(
        default=None, description="Largest 95th percentile of the time that scoring one row takes. Default: none."
    )


def _lead_to_all(steps: tuple[float, ...]) -> tuple[float, ...]:
    """Weights only grow, and the last one is all of the traffic."""
    if steps[0] <= 0 or steps[-1] != 1 or any(low >= high for low, high in pairwise(steps)):
        raise RuleError(
            rule="does not lead to 100%", fix="write growing percentages above 0%, the last 100%: [10%, 50%, 100%]"
        )
    return steps


class Rollout(Part):
    """How a version takes over."""

    shadow: Duration = standard(
        "10m", description="How long it scores copies of requests before it takes any. 0s: no shadow."
    )
    steps: Annotated[tuple[Percent, ...], Field(min_length=1, max_length=20), AfterValidator(_lead_to_all)] = standard(
        ["10%", "50%", "100%"], description="Shares of traffic, growing, the last 100%."
    )
    hold: Duration = standard("10m", description="Shortest time at each step.")
    abort: Abort = standard({}, description="Limits that end the rollout and restore the champion.")
    min_rows: Count = standard(1000, description="Rows of the candidate that a step needs before it may go on.")
    deadline: PositiveDuration = standard(
        "4h", description="How long a phase may hold for want of evidence before the candidate goes."
    )
    labels: Literal["when_matured", "ignore"] = standard(
        "when_matured", description="Whether matured labels take part in the judgement of a step."
    )
    ttl: PositiveDuration = standard(
        "30s", description="Wall time after which a traffic plan that nobody renews loses its candidate."
    )
    watch: Duration = standard("1h", description="How long a new champion is watched, ready for rollback.")


class Owner(Part):
    """Who hears of it."""

    team: Annotated[str, Field(min_length=1, max_length=128)] = standard(
        "unowned", description="The team that answers for the model; it stands in every alert."
    )
    alerts: Annotated[tuple[Literal["topic"], ...], Field(max_length=1)] = standard(
        ["topic"], description="Where alerts go: the topic `alerts`. An empty list: nowhere."
    )
