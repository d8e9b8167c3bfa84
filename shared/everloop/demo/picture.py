"""The picture of a run: one HTML page with two charts as inline SVG. It loads nothing from anywhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Final

from everloop.demo.series import Mark, Point, Series
from everloop.demo.summary import Summary

WIDTH, HEIGHT, LEFT, TOP = 960, 260, 48, 12
LOWEST: Final = 0.5
"""AUC of a coin: the bottom of the quality chart."""
COLOURS: Final = ("#2b6cb0", "#2f855a", "#b7791f", "#805ad5", "#c53030")
MARKS: Final[Mapping[str, str]] = {
    "drift": "#c53030", "trained": "#718096", "rollout": "#b7791f", "promoted": "#2f855a", "refused": "#805ad5",
}  # fmt: skip
STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#1a202c;background:#fff}
h1{font-size:1.4rem} h2{font-size:1.05rem;margin:1.6rem 0 .2rem} table{border-collapse:collapse}
td,th{padding:.15rem .9rem .15rem 0;text-align:left;vertical-align:top} svg{width:100%;height:auto}
text{font:11px system-ui,sans-serif;fill:#4a5568} .bad{color:#c53030} .key{display:inline-block;width:.8em;height:.8em}
"""


def page(series: Series, summary: Summary, failed: list[str]) -> str:
    """The whole page."""
    versions = sorted({version for point in series.points for version in point.traffic})
    colours = {version: COLOURS[index % len(COLOURS)] for index, version in enumerate(versions)}
    last = max((point.window for point in series.points), default=0) + 1
    parts = (
        "<h1>Everloop: one turn of the loop</h1>",
        _verdict(failed),
        "<h2>Quality of what was served (AUC on labels, by window)</h2>",
        _legend(colours),
        _chart(_quality(series.points, colours, last), series.marks, last, (f"{LOWEST}", "0.75", "1.0")),
        "<h2>Traffic (share of the rows, by window)</h2>",
        _chart(_traffic(series.points, colours, last), series.marks, last, ("0 %", "50 %", "100 %")),
        "<h2>What happened</h2>",
        _story(series.marks),
        "<h2>Summary</h2>",
        _table(summary.to_plain()),
    )
    head = f'<meta charset="utf-8"><title>Everloop demo</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _verdict(failed: list[str]) -> str:
    if not failed:
        return "<p>Every condition of the demo was met.</p>"
    return "<ul class=bad>" + "".join(f"<li>{escape(one)}</li>" for one in failed) + "</ul>"


def _legend(colours: Mapping[str, str]) -> str:
    keys = (f'<span class=key style="background:{c}"></span> version {escape(v)} &nbsp; ' for v, c in colours.items())
    return f"<p>{''.join(keys)}<span class=key style='background:#1a202c'></span> all that was served</p>"


def _chart(body: str, marks: Iterable[Mark], last: int, ticks: tuple[str, str, str]) -> str:
    lines = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH}" y1="{_y(at):.1f}" y2="{_y(at):.1f}" stroke="#e2e8f0"/>'
        f'<text x="4" y="{_y(at) + 4:.1f}">{text}</text>'
        for at, text in zip((0.0, 0.5, 1.0), ticks, strict=True)
    )
    windows = "".join(f'<text x="{_x(n, last):.1f}" y="{HEIGHT - 2}">{n}</text>' for n in range(0, last, 5))
    verticals = "".join(
        f'<line x1="{_x(mark.window, last):.1f}" x2="{_x(mark.window, last):.1f}" y1="{TOP}" y2="{HEIGHT - 18}" '
        f'stroke="{MARKS[mark.kind]}" stroke-dasharray="3 3"><title>{escape(mark.text)}</title></line>'
        for mark in marks
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{lines}{windows}{body}{verticals}</svg>'


def _quality(points: Iterable[Point], colours: Mapping[str, str], last: int) -> str:
    listed = list(points)
    lines = [
        _line([(p.window, p.by_version.get(v)) for p in listed], colour, last, 1.5) for v, colour in colours.items()
    ]
    return "".join([*lines, _line([(p.window, p.quality) for p in listed], "#1a202c", last, 2.5)])


def _line(values: Iterable[tuple[int, float | None]], colour: str, last: int, width: float) -> str:
    drawn = [(window, (value - LOWEST) / (1 - LOWEST)) for window, value in values if value is not None]
    path = " ".join(f"{_x(window + 0.5, last):.1f},{_y(max(0.0, share)):.1f}" for window, share in drawn)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _traffic(points: Iterable[Point], colours: Mapping[str, str], last: int) -> str:
    bars = []
    for point in points:
        below = 0.0
        for version, share in point.traffic.items():
            left, right = _x(point.window, last), _x(point.window + 0.94, last)
            bars.append(
                f'<rect x="{left:.1f}" width="{right - left:.1f}" y="{_y(below + share):.1f}" '
                f'height="{_y(below) - _y(below + share):.1f}" fill="{colours[version]}" fill-opacity=".75">'
                f"<title>window {point.window}: version {escape(version)} {share:.0%}</title></rect>"
            )
            below += share
    return "".join(bars)


def _story(marks: Iterable[Mark]) -> str:
    rows = (
        f'<tr><td>window {mark.window:.1f}</td><td><span class=key style="background:{MARKS[mark.kind]}"></span></td>'
        f"<td>{escape(mark.text)}</td></tr>"
        for mark in marks
    )
    return f"<table>{''.join(rows)}</table>"


def _table(plain: Mapping[str, object]) -> str:
    return (
        "<table>" + "".join(f"<tr><th>{escape(k)}</th><td>{_cell(v)}</td></tr>" for k, v in plain.items()) + "</table>"
    )


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{escape(str(key))} {_cell(found)}" for key, found in value.items())
    if isinstance(value, tuple | list):
        return escape(", ".join(map(str, value)))
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def _x(window: float, last: int) -> float:
    return LEFT + (WIDTH - LEFT) * window / last


def _y(share: float) -> float:
    return TOP + (HEIGHT - 18 - TOP) * (1 - share)
