"""Every metric that Everloop shows: one closed list. A label has values from a closed list, or it is `other` (P1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from everloop.events import TYPES
from everloop.topics import TOPICS

OTHER: Final = "other"
MOST_MODELS: Final = 1_000
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

Label = Literal["topic", "model", "reason", "kind", "route", "status", "event", "arm", "outcome", "group"]
Kind = Literal["counter", "gauge", "histogram"]
Name = Literal[
    "everloop_http_requests_total",
    "everloop_http_seconds",
    "everloop_rows_accepted_total",
    "everloop_rows_refused_total",
    "everloop_signature_warnings_total",
    "everloop_backlog_rows",
    "everloop_rows_total",
    "everloop_duplicate_rows_total",
    "everloop_quarantined_rows_total",
    "everloop_dead_letters_total",
    "everloop_dead_letters_dropped_total",
    "everloop_open_predictions",
    "everloop_parked_labels",
    "everloop_parked_feedback",
    "everloop_forgotten_rows_total",
    "everloop_archive_files_total",
    "everloop_archive_rows_total",
    "everloop_archive_kept_total",
    "everloop_heartbeats_total",
    "everloop_steps_total",
    "everloop_last_step_seconds",
    "everloop_ready",
    "everloop_events_total",
    "everloop_void_records_total",
    "everloop_windows_total",
    "everloop_probe_found_total",
    "everloop_probe_missed_total",
    "everloop_probe_delay_seconds",
    "everloop_jobs_total",
    "everloop_effects_waiting",
    "everloop_scored_rows_total",
    "everloop_score_seconds",
    "everloop_plan_epoch",
    "everloop_plan_weight",
]

LABELS: Final[Mapping[Label, frozenset[str]]] = {
    "topic": frozenset(TOPICS),
    "model": frozenset(),  # known from `loops`: see `Metrics.know`
    "reason": frozenset({
        "null_value", "malformed", "shape", "unknown_type", "newer_version", "conflicting_duplicate", "handler_failed",
        "horizon", "backlog", "broker", "unknown_model", "misplaced", "model_stopped", "too_large", "no_champion",
        "digest_mismatch", "starting", "other", "version_unknown", "missing_feature", "unknown_feature", "no_number",
        "unknown_feedback", "out_of_bounds",
    }),
    "kind": frozenset({"predictions", "labels", "feedback", "outcomes", "inputs", "bootstrap", "training", "checks",
        "merge", "expire", "remove"}),
    "route": frozenset({
        "/v1/predictions", "/v1/labels", "/v1/feedback", "/v1/events", "/v1/models", "/healthz", "/readyz", "/metrics",
    }),
    "status": frozenset({"2xx", "3xx", "4xx", "5xx"}),
    "event": frozenset(TYPES),
    "arm": frozenset({"champion", "candidate", "shadow"}),
    "outcome": frozenset({"ok", "failed", "killed", "error"}),
    "group": frozenset({"ingest.route", "ingest.join", "ingest.archive", "drift.windows", "drift.merge"}),
}  # fmt: skip
"""Which values a label may have; any other is shown as `other`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its kind, its labels, and what it means."""

    kind: Kind
    meaning: str
    labels: tuple[Label, ...] = ()


METRICS: Final[Mapping[Name, Metric]] = {
    "everloop_http_requests_total": Metric("counter", "Requests answered", ("route", "status")),
    "everloop_http_seconds": Metric("histogram", "Time to answer a request, in seconds", ("route",)),
    "everloop_rows_accepted_total": Metric("counter", "Rows acknowledged at the door", ("kind", "model")),
    "everloop_rows_refused_total": Metric("counter", "Rows refused at the door", ("kind", "reason")),
    "everloop_signature_warnings_total": Metric(
        "counter", "Rows accepted that are not what the model's version was made to be asked", ("model", "reason")
    ),
    "everloop_backlog_rows": Metric("gauge", "Rows at the door that wait for the broker"),
    "everloop_rows_total": Metric("counter", "Rows taken from a topic by a group", ("group", "topic")),
    "everloop_duplicate_rows_total": Metric("counter", "Rows dropped since their prediction id was known", ("model",)),
    "everloop_quarantined_rows_total": Metric("counter", "Rows that count in no window, by why", ("group", "reason")),
    "everloop_dead_letters_total": Metric("counter", "Records put on the dead-letter topic", ("topic", "reason")),
    "everloop_dead_letters_dropped_total": Metric(
        "counter", "Refused at the door and not kept: too many in a second, or no broker", ("topic", "reason")
    ),
    "everloop_open_predictions": Metric("gauge", "Predictions remembered by the join"),
    "everloop_parked_labels": Metric("gauge", "Labels that wait for their prediction"),
    "everloop_parked_feedback": Metric("gauge", "Values of feedback that wait for their prediction"),
    "everloop_forgotten_rows_total": Metric(
        "counter", "Predictions, labels and values of feedback forgotten unmatched", ("reason",)
    ),
    "everloop_archive_files_total": Metric("counter", "Files written to the archive", ("kind", "model")),
    "everloop_archive_rows_total": Metric("counter", "Rows written to the archive", ("kind", "model")),
    "everloop_archive_kept_total": Metric("counter", "Merges, expiries and removals of files", ("kind", "model")),
    "everloop_heartbeats_total": Metric("counter", "Heartbeats written"),
    "everloop_steps_total": Metric("counter", "Rounds of the main loop"),
    "everloop_last_step_seconds": Metric("gauge", "When the main loop last went round, in seconds since 1970"),
    "everloop_ready": Metric("gauge", "1 when the service is ready, else 0"),
    "everloop_events_total": Metric("counter", "Events said", ("event",)),
    "everloop_void_records_total": Metric("counter", "Journal records that lost against another writer", ("topic",)),
    "everloop_windows_total": Metric("counter", "Windows closed", ("kind", "model")),
    "everloop_probe_found_total": Metric("counter", "Periods of the probe of which all was found in time"),
    "everloop_probe_missed_total": Metric("counter", "Periods of the probe of which something was not found in time"),
    "everloop_probe_delay_seconds": Metric("gauge", "From the probe's last drift to the verdict on it, in seconds"),
    "everloop_jobs_total": Metric("counter", "Long work that ended", ("kind", "outcome")),
    "everloop_effects_waiting": Metric("gauge", "Decisions that are not shown outside yet, in the registry"),
    "everloop_scored_rows_total": Metric("counter", "Rows scored", ("model", "arm", "outcome")),
    "everloop_score_seconds": Metric("histogram", "Time to score a request, in seconds", ("model",)),
    "everloop_plan_epoch": Metric("gauge", "Epoch of the traffic plan that is obeyed", ("model",)),
    "everloop_plan_weight": Metric("gauge", "Weight of an arm in the plan that is obeyed, 0 to 1", ("model", "arm")),
}

_MAKE: Final[Mapping[Kind, Callable[..., Counter | Gauge | Histogram]]] = {
    "counter": Counter,
    "gauge": Gauge,
    "histogram": Histogram,
}


class Metrics:
    """The metrics of one process. Each is registered when first used; safe for use from several threads."""

    def __init__(self) -> None:
        """Start empty, in an own registry: two services in one test process do not meet."""
        self._registry: Final = CollectorRegistry()
        self._made: Final[dict[str, Counter | Gauge | Histogram]] = {}
        self._models: frozenset[str] = frozenset()
        self._found: Final[dict[tuple[str, ...], Counter | Gauge | Histogram]] = {}

    def know(self, models: Iterable[str]) -> None:
        """Name the models that may be label values: those of `loops`, the first 1,000 in order of name."""
        known = frozenset(sorted(models)[:MOST_MODELS])
        if known != self._models:
            self._models = known
            self._found.clear()

    def inc(self, name: Name, amount: float = 1, **labels: str) -> None:
        """Count up. `TypeError` when the metric is no counter, `ValueError` when the labels are not its labels."""
        found = self._find(name, labels)
        if not isinstance(found, Counter):
            raise TypeError(f"{name} is a {METRICS[name].kind}, not a counter")
        found.inc(amount)

    def set(self, name: Name, value: float, **labels: str) -> None:
        """Set a gauge. Errors as `inc`."""
        found = self._find(name, labels)
        if not isinstance(found, Gauge):
            raise TypeError(f"{name} is a {METRICS[name].kind}, not a gauge")
        found.set(value)

    def follow(self, name: Name, read: Callable[[], float]) -> None:
        """Let a gauge without labels show what `read` gives whenever it is looked at. Errors as `inc`."""
        found = self._find(name, {})
        if not isinstance(found, Gauge):
            raise TypeError(f"{name} is a {METRICS[name].kind}, not a gauge")
        found.set_function(read)

    def observe(self, name: Name, value: float, **labels: str) -> None:
        """Observe one value of a histogram. Errors as `inc`."""
        found = self._find(name, labels)
        if not isinstance(found, Histogram):
            raise TypeError(f"{name} is a {METRICS[name].kind}, not a histogram")
        found.observe(value)

    def value(self, name: Name, **labels: str) -> float:
        """Give the present value of a counter or gauge; 0 when there is none."""
        return self._registry.get_sample_value(name, labels) or 0.0

    def render(self) -> bytes:
        """Give all in the text format of Prometheus."""
        return generate_latest(self._registry)

    def _find(self, name: Name, labels: Mapping[str, str]) -> Counter | Gauge | Histogram:
        """What counts for these labels. Of labels that are shown as they are it is found at once the next time."""
        key = (name, *labels, *labels.values())
        return self._found.get(key) or self._look_up(name, labels, key)

    def _look_up(self, name: Name, labels: Mapping[str, str], key: tuple[str, ...]) -> Counter | Gauge | Histogram:
        metric = METRICS[name]
        if name not in self._made:
            self._made[name] = _MAKE[metric.kind](name, metric.meaning, metric.labels, registry=self._registry)
        if set(labels) != set(metric.labels):
            raise ValueError(f"{name} has the labels {', '.join(metric.labels) or 'none'}")
        found = self._made[name]
        shown = {label: self._shown(label, labels[label]) for label in metric.labels}
        child = found.labels(**shown) if shown else found
        if shown == labels:  # others would be without bound
            self._found[key] = child
        return child

    def _shown(self, label: Label, value: str) -> str:
        allowed = self._models if label == "model" else LABELS[label]
        return value if value in allowed else OTHER
