"""The types of a loop file's values: how each is written, bounded, and shown to an editor.

A number's place in Python is its plain type (`timedelta`, `float` fraction, `int` bytes). Numbers are strict: a quoted
`"500"` is a text, and a text where a number belongs is an error with a line, never a guess.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)

from everloop import durations
from everloop.durations import Rate, RuleError

T = TypeVar("T")

LONGEST = timedelta(days=3650)
FROM_FILE = {"from_file": True}
"""Validation context of text that a person wrote: there a bare 1 for "1%" or "100%" would be ambiguous."""


class Part(BaseModel):
    """A frozen part of a loop file. Defaults stand as they would be written, and are validated like any text."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def standard(value: object, *, description: str) -> Any:  # noqa: ANN401 - a default has the type of what it reads as
    """A key with a default, written as it would stand in the file; the model reads it like any text."""
    return Field(default=value, description=description)


def written(parse: Callable[[str], T], kind: type[T], name: str, example: str) -> Callable[[object, ValidationInfo], T]:
    """Accept the notation of `parse`; and, except in a file, a value that already is of this `kind`."""

    def read(value: object, info: ValidationInfo) -> T:
        if isinstance(value, str):
            return parse(value)
        if type(value) is kind and info.context != FROM_FILE:
            return value
        raise RuleError(rule=f"is not {name}", fix=f"write it with its unit, such as {example}")

    return read


def bounded(duration: timedelta) -> timedelta:
    """Refuse a duration that no loop can mean."""
    if not timedelta(0) <= duration <= LONGEST:
        raise RuleError(
            rule="is out of bounds", fix=f"write a duration from 0s to {durations.format_duration(LONGEST)}"
        )
    return duration


def positive(duration: timedelta) -> timedelta:
    """Refuse nothing, too."""
    if not duration:
        raise RuleError(rule="is too short", fix="write a duration above zero")
    return bounded(duration)


_READ_DURATION = BeforeValidator(written(durations.parse_duration, timedelta, "a duration", "15m"))
_SAY_DURATION = PlainSerializer(durations.format_duration, return_type=str)

Duration = Annotated[
    timedelta,
    _READ_DURATION,
    AfterValidator(bounded),
    _SAY_DURATION,
    WithJsonSchema({"type": "string", "pattern": durations.DURATION, "examples": ["0s", "500ms", "15m", "1h", "90d"]}),
]
PositiveDuration = Annotated[
    timedelta,
    _READ_DURATION,
    AfterValidator(positive),
    _SAY_DURATION,
    WithJsonSchema({"type": "string", "pattern": durations.POSITIVE_DURATION, "examples": ["30s", "15m", "1h", "90d"]}),
]
Percent = Annotated[
    float,
    BeforeValidator(written(durations.parse_percent, float, "a percentage", "10%")),
    Field(ge=0, le=1),
    PlainSerializer(durations.format_percent, return_type=str),
    WithJsonSchema({"type": "string", "pattern": durations.PERCENT, "examples": ["1%", "10%", "99.5%"]}),
]
Size = Annotated[
    int,
    BeforeValidator(written(durations.parse_size, int, "a size", "100MB")),
    PlainSerializer(durations.format_size, return_type=str),
    WithJsonSchema({"type": "string", "pattern": durations.SIZE, "examples": ["512kB", "100MB"]}),
]
FalseAlarms = Annotated[
    Rate,
    BeforeValidator(written(durations.parse_rate, Rate, "a rate", "1 per 30d")),
    PlainSerializer(durations.format_rate, return_type=str),
    WithJsonSchema({"type": "string", "pattern": durations.RATE, "examples": ["1 per 30d"]}),
]
Count = Annotated[int, Strict(), Field(ge=1, le=1_000_000_000)]
Number = Annotated[float, Strict()]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
