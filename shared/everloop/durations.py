"""How people write amounts: durations (`15m`), percentages (`10%`), sizes (`100MB`), rates (`1 per 30d`), both ways.

Each `parse_*` accepts one notation only, and each `format_*` writes the canonical one: `parse(format(x)) == x`.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

DURATION = r"^[0-9]{1,12}(ms|s|m|h|d)$"
POSITIVE_DURATION = r"^(?=[0-9]*[1-9])[0-9]{1,12}(ms|s|m|h|d)$"
PERCENT = r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)%$"
SIZE = r"^[0-9]{1,9}(B|kB|MB|GB)$"
RATE = r"^[1-9][0-9]{0,5} per (?=[0-9]*[1-9])[0-9]{1,12}(ms|s|m|h|d)$"

UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
"""Largest first: the canonical form takes the first that divides the duration."""

SIZES = {"GB": 10**9, "MB": 10**6, "kB": 10**3, "B": 1}


class RuleError(ValueError):
    """A value breaks a rule. The texts never hold the value itself: who reports decides whether it may be shown.

    `rule` continues a sentence that starts with the value (`is not a duration`), `fix` says what to write instead, and
    `at` leads from the place where the rule is checked to the key that is at fault.
    """

    def __init__(self, rule: str, fix: str, at: tuple[str | int, ...] = ()) -> None:
        """Keep the parts apart, so that a report can place them."""
        super().__init__(f"{rule}; {fix}")
        self.rule, self.fix, self.at = rule, fix, at


@dataclass(frozen=True, slots=True)
class Rate:
    """So many times in so long a time."""

    count: int
    per: timedelta


def parse_duration(text: str) -> timedelta:
    """Read `500ms`, `30s`, `15m`, `1h` or `90d`. Raises `RuleError` on anything else."""
    if not re.fullmatch(DURATION, text):
        raise RuleError(rule="is not a duration", fix="write a whole number and a unit: 500ms, 30s, 15m, 1h, 90d")
    digits = text.rstrip("mshd")
    try:
        return int(digits) * UNITS[text[len(digits) :]]
    except OverflowError:
        raise RuleError(rule="is out of bounds", fix="write a shorter duration") from None


def format_duration(duration: timedelta) -> str:
    """Write with the largest unit that divides it; zero is `0s`. Raises `ValueError` below a millisecond."""
    if not duration:
        return "0s"
    for unit, length in UNITS.items():
        if not duration % length:
            return f"{duration // length}{unit}"
    message = f"{duration} is not a whole number of milliseconds; round it first"
    raise ValueError(message)


def parse_percent(text: str) -> float:
    """Read `10%` as the fraction 0.1, correctly rounded. Raises `RuleError` on anything else or above 100%."""
    if not re.fullmatch(PERCENT, text):
        raise RuleError(rule="is not a percentage", fix="write a number from 0 to 100 with a percent sign: 1%, 99.5%")
    return float(Decimal(text[:-1]) / 100)


def format_percent(fraction: float) -> str:
    """Write the fraction 0.1 as `10%`."""
    return f"{(Decimal(repr(fraction)) * 100).normalize():f}%"


def parse_size(text: str) -> int:
    """Read `100MB` as bytes; units are decimal (1 MB is 1,000,000 bytes). Raises `RuleError` on anything else."""
    if not re.fullmatch(SIZE, text):
        raise RuleError(rule="is not a size", fix="write a whole number and a unit: 512kB, 100MB, 2GB")
    digits = text.rstrip("kMGB")
    return int(digits) * SIZES[text[len(digits) :]]


def format_size(size: int) -> str:
    """Write bytes with the largest unit that divides them."""
    unit = next(unit for unit, length in SIZES.items() if size % length == 0) if size else "B"
    return f"{size // SIZES[unit]}{unit}"


def parse_rate(text: str) -> Rate:
    """Read `1 per 30d`. Raises `RuleError` on anything else."""
    if not re.fullmatch(RATE, text):
        raise RuleError(rule="is not a rate", fix="write a count and a duration: 1 per 30d")
    count, _, per = text.split(" ")
    return Rate(int(count), parse_duration(per))


def format_rate(rate: Rate) -> str:
    """Write a rate as `1 per 30d`."""
    return f"{rate.count} per {format_duration(rate.per)}"
