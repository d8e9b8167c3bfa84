"""What predictions brought, as text and as data: a part of `everloop drift`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everloop.cli.windows import lasting

if TYPE_CHECKING:
    from everloop.story.feedback import Line, Stretch
    from everloop.worth import Interval

FEEDBACK = (
    "feedback", "arm", "version", "rows with it", "coverage", "age p50", "age p95", "too late", "total",
    "mean (95 %)", "more", "per row served (95 %)", "more",
)  # fmt: skip


def stretch_line(one: Stretch) -> str:
    """What the table below is of."""
    from everloop.story import moment

    windows = f", {one.windows} windows with these arms together" if one.windows > 1 else ""
    return f"feedback to rows from {moment(one.start)} to {moment(one.end)}{windows}; `more` is than the champion"


def line_cells(line: Line) -> list[str]:
    """One name of one arm as text, in the order of FEEDBACK."""
    from everloop.story import number

    of, worth = line.of, line.worth
    rows = str(worth.rows) if worth.predicted is None else f"{worth.rows} of {worth.predicted}"
    ages = ["–" if one is None else lasting(one) for one in (worth.p50, worth.p95)]
    return [
        of.name, of.arm, of.version, rows, "–" if worth.coverage is None else f"{worth.coverage:.1%}", *ages,
        str(line.late), number(worth.total), interval(worth.mean), interval(line.more, sign="+"),
        interval(worth.per_row), interval(line.more_per_row, sign="+"),
    ]  # fmt: skip


def interval(one: Interval | None, sign: str = "") -> str:
    """A mean with its interval; of too few rows the mean alone."""
    if one is None:
        return "–"
    value = f"{one.value:{sign}.4g}"
    return value if one.lower is None else f"{value} ({one.lower:.4g} to {one.upper:.4g})"


def stretch_value(one: Stretch) -> dict[str, object]:
    """All of it as data; ages in ms."""
    from everloop.story import moment

    lines = [_line_value(line) for line in one.lines]
    return {"start": moment(one.start), "end": moment(one.end), "windows": one.windows, "lines": lines}


def _line_value(line: Line) -> dict[str, object]:
    worth = line.worth
    figures = {name: getattr(worth, name) for name in ("rows", "predicted", "coverage", "total", "p50", "p95")}
    means = {"mean": worth.mean, "more": line.more, "per_row": worth.per_row, "more_per_row": line.more_per_row}
    return {**line.of._asdict(), **figures, "late": line.late, **{name: _mean(one) for name, one in means.items()}}


def _mean(one: Interval | None) -> dict[str, float | None] | None:
    return None if one is None else {name: getattr(one, name) for name in ("value", "error", "lower", "upper")}
