"""The page that `everloop drift --html` writes: one file, no script, nothing from elsewhere; all names are escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from everloop.cli.drift import COLUMNS, EPISODES, episode_cells, head_lines, plain, row_cells
from everloop.cli.drift_segments import SEGMENTS, labels_line, segment_lines
from everloop.cli.feedback import FEEDBACK, line_cells, stretch_line
from everloop.events import ChangePoint, WindowJudged
from everloop.story.drifting import SCORE, Histogram, Row, Told
from everloop.story.lines import moment

WIDTH, HEIGHT = 176, 44
COURSE_WIDTH, COURSE_HEIGHT = 800, 90
MOST_WINDOWS: Final = 200
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
STYLE: Final = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; padding: .25rem .75rem; border-bottom: 1px solid #ddd; vertical-align: middle; }
td { font-variant-numeric: tabular-nums; }
tr.drifted td:first-child { font-weight: bold; }
.reference { fill: #b3b3b3; } .current { fill: #0072b2; } .other rect { fill: #ccc; }
g.drifted rect { fill: #d55e00; } g.stable rect { fill: #0072b2; }
.change { fill: #f0e442; fill-opacity: .5; } .at { stroke: #222; stroke-dasharray: 3 2; }
.key { color: #666; }
"""


def drift_page(model: str, told: Told) -> str:
    """The whole page."""
    title = escape(plain(f"{model}: drift"))
    head = "".join(f"<p>{escape(line)}</p>\n" for line in head_lines(model, told))
    parts = (_columns(told.rows), _segments(told.labelled), _course(told), _episodes(told), _feedback(told))
    body = "".join((head, *parts))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    )


def bars(seen: Histogram) -> str:
    """Both sides as bars beside each other, on one scale; each says what it is when pointed at."""
    if not seen.largest:
        return ""
    step = WIDTH / len(seen.labels)
    drawn = "".join(_bars_at(seen, place, step) for place in range(len(seen.labels)))
    return f'<svg role="img" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">{drawn}</svg>'


def _bars_at(seen: Histogram, place: int, step: float) -> str:
    label = escape(plain(seen.labels[place]))
    sides = ((seen.reference, "reference", 0.05), (seen.current, "current", 0.5))
    drawn = "".join(
        _rect(side[place] / seen.largest * HEIGHT, (place + offset) * step, 0.45 * step, HEIGHT, name)
        for side, name, offset in sides
    )
    shares = f"{seen.reference[place]:.2%} → {seen.current[place]:.2%}"
    return f"<g><title>{label}: {shares}</title>{drawn}</g>"


def _rect(height: float, left: float, width: float, bottom: float, name: str = "") -> str:
    named = f' class="{name}"' if name else ""
    return f'<rect{named} x="{left:.1f}" y="{bottom - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _columns(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    key = '<p class="key">Grey: reference; blue: current. Drift and score are comparable between columns.</p>\n'
    names = [*COLUMNS[:-2], "reference and current"]
    lines = ((row_cells(row), bars(row.histogram) if row.histogram else "–", row.drifted) for row in rows)
    return "<h2>Columns by drift × importance</h2>\n" + key + _table(names, lines)


def _segments(window: WindowJudged | None) -> str:
    if window is None:
        return ""
    marked = (False, *(one.verdict == "drifted" for one in window.segments))
    lines = [(cells, "", drifted) for cells, drifted in zip(segment_lines(window), marked, strict=True)]
    said = f'<p class="key">{escape(labels_line(window))}</p>\n'
    return "<h2>Labels by segment</h2>\n" + said + _table(SEGMENTS, lines)


def _episodes(told: Told) -> str:
    if not told.episodes:
        return ""
    lines = ((episode_cells(one), "", False) for one in told.episodes)
    return "<h2>Episodes</h2>\n" + _table(EPISODES, lines)


def _feedback(told: Told) -> str:
    return "".join(
        f"<h2>Feedback</h2>\n<p>{escape(stretch_line(one))}</p>\n"
        + _table(FEEDBACK, (([plain(cell) for cell in line_cells(line)], "", False) for line in one.lines))
        for one in told.feedback
    )


def _table(names: Sequence[str], lines: Iterable[tuple[Sequence[str], str, bool]]) -> str:
    """Cells are escaped here; what is drawn behind them is not."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f'<tr class="{"drifted" if drifted else ""}">'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + (f"<td>{drawn}</td>" if drawn else "")
        + "</tr>\n"
        for cells, drawn, drifted in lines
    )
    return f"<table>\n<tr>{head}</tr>\n{body}</table>\n"


def _course(told: Told) -> str:
    """The share of drifted columns of the last windows, and when the last episode of drift began."""
    shown = told.course[-MOST_WINDOWS:]
    if not shown:
        return ""
    begin, end = shown[0].start, max(one.end for one in shown)
    scale = COURSE_WIDTH / max(1, end - begin)
    changes = [one.change for one in told.episodes if one.kind == "drift" and one.change]
    band = "".join(_band(one, begin, scale) for one in changes if one.latest >= begin)
    drawn = "".join(_windows(shown, begin, scale))
    key = (
        '<p class="key">Height: share of drifted columns, of one that was compared. Yellow: when it began, 95 %.</p>\n'
    )
    return (
        f"<h2>Windows</h2>\n{key}"
        f'<svg role="img" width="{COURSE_WIDTH}" height="{COURSE_HEIGHT}" '
        f'viewBox="0 0 {COURSE_WIDTH} {COURSE_HEIGHT}">{band}{drawn}</svg>\n'
    )


def _band(change: ChangePoint, begin: int, scale: float) -> str:
    left, right = (max(0.0, (one - begin) * scale) for one in (change.earliest, change.latest))
    at = max(0.0, (change.at - begin) * scale)
    line = f'<line class="at" x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="{COURSE_HEIGHT}"/>'
    return _rect(COURSE_HEIGHT, left, max(1.0, right - left), COURSE_HEIGHT, "change") + line


def _windows(shown: Sequence[WindowJudged], begin: int, scale: float) -> Iterator[str]:
    for one in shown:
        share = drifted_share(one)
        height = 4 + (COURSE_HEIGHT - 10) * (share or 0.0)
        name = one.verdict if one.verdict in {"drifted", "stable"} else "other"
        width = max(0.5, (one.end - one.start) * scale * 0.9)
        said = escape(f"{moment(one.start)}: {one.verdict}" + ("" if share is None else f", {share:.0%} of columns"))
        drawn = _rect(height, (one.start - begin) * scale, width, COURSE_HEIGHT)
        yield f'<g class="{name}"><title>{said}</title>{drawn}</g>'


def drifted_share(window: WindowJudged) -> float | None:
    """Share of judged columns that drifted; None where none was."""
    columns = {one.name: False for one in window.measures if one.name != SCORE}
    columns |= {one.name: True for one in window.measures if one.name != SCORE and one.drifted}
    return sum(columns.values()) / len(columns) if columns else None
