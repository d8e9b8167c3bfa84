"""What a prediction may bring beside its label, by name: a click, a conversion, revenue."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from everloop.durations import RuleError
from everloop.events import FEEDBACK_NAME, LARGEST_FEEDBACK
from everloop.loop.types import Number, Part

MOST_NAMES: Final = 16
"""Names of one model: each may cost the join as much memory as its predictions, and a window a sketch per arm."""
Bound = Annotated[Number, Field(ge=-LARGEST_FEEDBACK, le=LARGEST_FEEDBACK)]
Wrong = Literal["unknown_feedback", "out_of_bounds"]


class Feedback(Part):
    """Numbers of one name. A value outside of its bounds is refused."""

    least: Bound | None = Field(
        default=None, description=f"Smallest value that is taken. Default: {-LARGEST_FEEDBACK:.0e}."
    )
    most: Bound | None = Field(
        default=None, description=f"Largest value that is taken. Default: {LARGEST_FEEDBACK:.0e}."
    )

    @field_validator("most")
    @classmethod
    def _above(cls, most: float | None, info: ValidationInfo) -> float | None:
        least = info.data.get("least")
        if most is not None and least is not None and most <= least:
            raise RuleError(rule="is not above `least`", fix="write the larger bound as `most`")
        return most


Feedbacks = Annotated[
    Mapping[str, Feedback],
    Field(min_length=1, max_length=MOST_NAMES, json_schema_extra={"propertyNames": {"pattern": FEEDBACK_NAME}}),
]


def check_names(declared: Mapping[str, Feedback] | None) -> None:
    """Raises `RuleError` for a name that no event can carry."""
    for name in declared or ():
        if not re.fullmatch(FEEDBACK_NAME, name):
            fix = "write a letter, then up to 63 letters, digits, dashes and underscores"
            raise RuleError(rule="is no name of feedback", fix=fix, at=(name, "[key]"))


def wrong_with(declared: Mapping[str, Feedback], name: str, value: float) -> Wrong | None:
    """Which rule a value breaks; None for one that is taken."""
    rules = declared.get(name)
    if rules is None:
        return "unknown_feedback"
    low = rules.least is not None and value < rules.least
    high = rules.most is not None and value > rules.most
    return "out_of_bounds" if low or high else None
