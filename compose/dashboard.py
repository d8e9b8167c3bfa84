"""The Grafana dashboard as a value. Pure; `python -m compose.write` makes the JSON from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

Json = dict[str, Any]  # Grafana's own JSON

SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
ACROSS: Final = 24
"""Columns of Grafana's grid."""
HEIGHT: Final = 7


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: a title, what one line of it is called (Grafana's `{{label}}`), the query, and the unit."""

    title: str
    legend: str
    query: str
    unit: str = "short"


@dataclass(frozen=True, slots=True)
class Row:
    """A headline and its graphs, side by side."""

    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, by: str, matching: str = "") -> str:
    """Give the query of a counter's rate per second, summed by labels."""
    return f"sum by ({by}) (rate({metric}{matching}[$__rate_interval]))"


def p95(metric: str, by: str, matching: str = "") -> str:
    """Give the query of a histogram's 95th percentile."""
    return f"histogram_quantile(0.95, {rate(f'{metric}_bucket', f'le, {by}', matching)})"


OF_MODEL: Final = '{model=~"$model"}'
ROWS: Final = (
    Row("Processes", (
        Panel("Ready (1) or not (0)", "{{service}}", "everloop_ready"),
        Panel("Since the last round", "{{service}}", "time() - everloop_last_step_seconds", "s"),
        Panel("Rounds", "{{service}}", rate("everloop_steps_total", "service"), "ops"),
        Panel("Heartbeats", "heartbeats", "sum(rate(everloop_heartbeats_total[$__rate_interval]))", "ops"),
        Panel("Journal records that lost", "{{service}} {{topic}}",
              rate("everloop_void_records_total", "service, topic"), "ops"),
    )),
    Row("The door", (
        Panel("Rows accepted", "{{kind}} {{model}}",
              rate("everloop_rows_accepted_total", "kind, model", OF_MODEL), "ops"),
        Panel("Rows refused", "{{service}} {{reason}}", rate("everloop_rows_refused_total", "service, reason"), "ops"),
        Panel("Rows that wait for the broker", "{{service}}", "everloop_backlog_rows"),
        Panel("Requests", "{{service}} {{route}} {{status}}",
              rate("everloop_http_requests_total", "service, route, status", '{route=~"/v1/.*"}'), "reqps"),
        Panel("Time to answer, p95", "{{service}} {{route}}",
              p95("everloop_http_seconds", "service, route", '{route=~"/v1/.*"}'), "s"),
    )),
    Row("Join and archive", (
        Panel("Rows taken", "{{group}} {{topic}}", rate("everloop_rows_total", "group, topic"), "ops"),
        Panel("Waiting predictions", "predictions", "sum(everloop_open_predictions)"),
        Panel("Waiting labels", "labels", "sum(everloop_parked_labels)"),
        Panel("Forgotten", "{{reason}}", rate("everloop_forgotten_rows_total", "reason"), "ops"),
        Panel("Duplicates dropped", "{{model}}", rate("everloop_duplicate_rows_total", "model", OF_MODEL), "ops"),
        Panel("Rows archived", "{{kind}} {{model}}",
              rate("everloop_archive_rows_total", "kind, model", OF_MODEL), "ops"),
        Panel("Files archived", "{{kind}} {{model}}",
              rate("everloop_archive_files_total", "kind, model", OF_MODEL), "ops"),
        Panel("Dead letters", "{{topic}} {{reason}}", rate("everloop_dead_letters_total", "topic, reason"), "ops"),
    )),
    Row("Serving", (
        Panel("Weight in the obeyed plan", "{{model}} {{arm}}", f"everloop_plan_weight{OF_MODEL}", "percentunit"),
        Panel("Epoch of the obeyed plan", "{{model}}", f"everloop_plan_epoch{OF_MODEL}"),
        Panel("Rows scored", "{{model}} {{arm}} {{outcome}}",
              rate("everloop_scored_rows_total", "model, arm, outcome", OF_MODEL), "ops"),
        Panel("Time to score, p95", "{{model}}", p95("everloop_score_seconds", "model", OF_MODEL), "s"),
        Panel("Plans refused", "serving",
              'sum(increase(everloop_events_total{event="io.everloop.alert.raised.v1"}[$__rate_interval]))'),
    )),
)  # fmt: skip


def dashboard() -> Json:
    """Give Grafana's JSON of the whole page."""
    model = {
        "name": "model", "type": "query", "datasource": SOURCE, "includeAll": True, "multi": True, "refresh": 2,
        "query": {"query": "label_values(everloop_plan_epoch, model)", "refId": "model"},
        "current": {"text": ["All"], "value": ["$__all"]}, "allValue": ".*",
    }  # fmt: skip
    return {
        "uid": "everloop", "title": "Everloop", "schemaVersion": 39, "editable": False, "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"}, "timezone": "browser",
        "templating": {"list": [model]}, "panels": panels(ROWS),
    }  # fmt: skip


def panels(rows: Sequence[Row]) -> list[Json]:
    """All headlines and graphs, in order, numbered from 1, each with its place."""
    tops = accumulate((1 + HEIGHT * _lines(row) for row in rows), initial=0)
    placed = [panel for row, top in zip(rows, tops, strict=False) for panel in _row(row, top)]
    return [{"id": number, **panel} for number, panel in enumerate(placed, 1)]


def _lines(row: Row) -> int:
    return -(-len(row.panels) // 4)


def _row(row: Row, top: int) -> list[Json]:
    head = {"type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": _place(0, top, ACROSS, 1)}
    return [head, *(_graph(panel, at, top + 1) for at, panel in enumerate(row.panels))]


def _graph(panel: Panel, at: int, top: int) -> Json:
    width = ACROSS // 4
    return {
        "type": "timeseries", "title": panel.title, "datasource": SOURCE,
        "gridPos": _place(width * (at % 4), top + HEIGHT * (at // 4), width, HEIGHT),
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": panel.query, "legendFormat": panel.legend}],
    }  # fmt: skip


def _place(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}
