from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.durations import (
    Rate,
    RuleError,
    format_duration,
    format_percent,
    format_rate,
    format_size,
    parse_duration,
    parse_percent,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("500ms", 0.5), ("30s", 30), ("15m", 900), ("1h", 3600), ("90d", 7_776_000)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    "text", ["", "15", "m", "1.5h", "-1s", "15 m", "15m ", "15m\n", "1h30m", "1w", "٣s", "9999999999999d"]
)
def test_nothing_else_is_a_duration(text: str) -> None:
    with pytest.raises(RuleError, match="is not a duration; write a whole number and a unit"):
        parse_duration(text)


def test_a_duration_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(RuleError, match="is out of bounds"):
        parse_duration("999999999999d")


def test_the_canonical_form_takes_the_largest_unit() -> None:
    assert [format_duration(parse_duration(text)) for text in ("60m", "24h", "90m", "1000ms", "0d")] == [
        "1h",
        "1d",
        "90m",
        "1s",
        "0s",
    ]


def test_less_than_a_millisecond_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="whole number of milliseconds"):
        format_duration(timedelta(microseconds=1))


@given(st.integers(min_value=0, max_value=10**12))
def test_durations_survive_writing_and_reading(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@given(st.integers(min_value=0, max_value=1_000_000))
def test_percentages_survive_writing_and_reading(parts: int) -> None:
    fraction = parts / 1_000_000
    assert parse_percent(format_percent(fraction)) == fraction


@pytest.mark.parametrize(("text", "fraction"), [("0%", 0.0), ("1%", 0.01), ("99.5%", 0.995), ("100%", 1.0)])
def test_a_percentage_is_the_nearest_fraction(text: str, fraction: float) -> None:
    assert parse_percent(text) == fraction
    assert format_percent(fraction) == text


@pytest.mark.parametrize("text", ["", "10", "%", "-1%", "101%", "100.1%", "1e1%", "10 %", "0.00001%"])
def test_nothing_else_is_a_percentage(text: str) -> None:
    with pytest.raises(RuleError, match="is not a percentage"):
        parse_percent(text)


def test_sizes_are_decimal() -> None:
    assert [parse_size(text) for text in ("512kB", "100MB", "2GB", "7B")] == [512_000, 10**8, 2 * 10**9, 7]
    assert [format_size(size) for size in (512_000, 10**8, 2 * 10**9, 7, 0)] == ["512kB", "100MB", "2GB", "7B", "0B"]
    with pytest.raises(RuleError, match="is not a size"):
        parse_size("1MiB")


def test_a_rate_is_a_count_and_a_duration() -> None:
    assert parse_rate("1 per 30d") == Rate(1, timedelta(days=30))
    assert format_rate(Rate(3, timedelta(hours=24))) == "3 per 1d"
    with pytest.raises(RuleError, match="is not a rate"):
        parse_rate("1/30d")
