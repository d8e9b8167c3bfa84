"""Each event in one line: the key figures of its type, as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from everloop import events as e

SHORT: Final = 8
MOST_COLUMNS: Final = 3
"""Columns that a line names."""


def number(value: float | str | None) -> str:
    """A figure with at most four digits behind the point; `–` for none."""
    if isinstance(value, str):
        return value
    if value is None:
        return "–"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"


def moment(ms: int) -> str:
    """A time of rows (ms since 1970, UTC)."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def said(reason: e.Reason) -> str:
    """Rule, measured value, limit, sample size, and where the rule was set."""
    limit = "" if reason.limit is None else f", limit {number(reason.limit)}"
    samples = f", {reason.samples} samples" if reason.samples else ""
    return f"{reason.rule} {number(reason.measured)}{limit}{samples} (set in: {reason.where})"


def one_line(event: e.Event) -> str:
    """The key figures of any event; empty for one that has none."""
    line = LINES.get(type(event))
    return line(event) if line else ""


def split(plan: e.TrafficPlanned) -> str:
    """The arms of a plan with their versions and weights."""
    arms = ", ".join(f"{arm.arm} {arm.version} at {arm.weight:.0%}" for arm in plan.arms)
    return arms + (f", shadow {plan.shadow.version}" if plan.shadow else "")


def _range(part: e.Snapshot | e.WindowClosed | e.WindowJudged | e.WindowLooked) -> str:
    return f"{moment(part.start)} to {moment(part.end)}"


def _checks(checks: tuple[e.Check, ...]) -> str:
    return ", ".join(f"{check.name} {check.verdict}" for check in checks)


def _looks(looks: tuple[e.Look, ...]) -> str:
    return ", ".join(f"{look.measure} {number(look.estimate)} {look.verdict}" for look in looks)


def _metrics(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in metrics.items())


def diagnosed(event: e.WindowJudged) -> str:
    """The kind of change and its columns, behind a semicolon; empty where nothing was diagnosed."""
    found = event.diagnosis
    if found is None:
        return ""
    columns = f" of {', '.join(found.columns[:MOST_COLUMNS])}" if found.columns else ""
    more = f" and {len(found.columns) - MOST_COLUMNS} more" if len(found.columns) > MOST_COLUMNS else ""
    return f"; {found.kind.replace('_', ' ')}{columns}{more}"


def _judged(event: e.WindowJudged) -> str:
    episode = "" if event.episode is e.Episode.NONE else f"; {event.episode_kind} episode {event.episode}"
    revision = f" (revision {event.revision})" if event.revision else ""
    return f"{event.kind} {_range(event)}{revision}: {event.verdict}, {said(event.reason)}{episode}{diagnosed(event)}"


def _requested(event: e.TrainingRequested) -> str:
    recipe = f" with {event.recipe}" if event.recipe else ""
    return f"asked by {event.by}{recipe}{' (bootstrap)' if event.bootstrap else ''}"


def _created(event: e.ModelVersionCreated) -> str:
    named = f", snapshot {event.snapshot.id[:SHORT]}" if event.snapshot.id else ""
    rows = f"{event.train_rows} rows of {_range(event.snapshot)} ({event.snapshot.strategy}{named})"
    return f"version {event.version}: {rows}, {event.holdout_rows} held out; {_metrics(event.metrics)}"


def _started(event: e.TrainingStarted) -> str:
    spec = event.spec
    return f"version {spec.version}, attempt {event.attempt}: {spec.recipe}; {said(event.reason)}"


def _refused(event: e.VersionRefused) -> str:
    failed = ", ".join(event.failed)
    return f"version {event.version} refused against {event.champion or 'no champion'}: failed {failed}"


LINES: Final[Mapping[type[e.Event], Callable[[Any], str]]] = {
    e.LoopApplied: lambda v: f"rules {v.digest[:SHORT]}",
    e.TrainingRequested: _requested,
    e.ClockMoved: lambda v: f"data {v.data:%F %T}, control {v.control:%F %T}, round {v.round}",
    e.PredictionsLogged: lambda v: f"{len(v.times)} rows, {v.source}, version {v.version or '–'}, arm {v.arm or '–'}",
    e.LabelsLogged: lambda v: f"{len(v.label)} labels",
    e.FeedbackLogged: lambda v: f"{len(v.value)} values of {', '.join(sorted(set(v.name)))}",
    e.HeartbeatSent: lambda v: f"from {v.replica}, {len(v.clocks)} clocks",
    e.HeartbeatPassed: lambda v: f"from {v.topic}/{v.partition}, {len(v.clocks)} clocks",
    e.KeysRouted: lambda v: f"{len(v.times)} {v.kind} keys",
    e.OutcomesJoined: lambda v: f"{len(v.times)} outcomes, version {v.version or '–'}, arm {v.arm or '–'}",
    e.FeedbackRouted: lambda v: f"{len(v.times)} values of {v.name}",
    e.FeedbackJoined: lambda v: f"{len(v.times)} values of {v.name}, version {v.version or '–'}, arm {v.arm or '–'}",
    e.FilesMerged: lambda v: f"{len(v.replaces)} files of {v.kind} in one with {v.rows} rows, file {v.sha256[:SHORT]}",
    e.FilesExpired: lambda v: f"{len(v.files)} files with {v.rows} rows from before {moment(v.before)}",
    e.FilesRemoved: lambda v: f"{len(v.files)} files deleted",
    e.ManifestCommitted: lambda v: f"{v.rows} {v.kind} rows to {moment(v.watermark)}, file {v.sha256[:SHORT]}",
    e.PartialSaved: lambda v: (
        f"{v.rows} rows of {v.topic} from {moment(v.start)}, version {v.version}, {v.arm}, offset {v.offset}"
    ),
    e.IdsRemembered: lambda v: f"{v.topic}/{v.partition} from {v.start}",
    e.WindowsKept: lambda v: f"{v.said} said, {len(v.owed)} owe outcomes",
    e.BooksKept: lambda v: f"{v.topic}/{v.partition} to {v.offset}: {v.counted} counted, {v.late} late",
    e.WindowClosed: lambda v: f"{v.kind} {_range(v)}: {v.rows} rows in {len(v.arms)} arms",
    e.WindowJudged: _judged,
    e.ReportRequested: lambda v: f"version {v.version}, {_range(v)}, until {v.wait_until:%F %T}; {said(v.reason)}",
    e.ReportStarted: lambda v: f"version {v.spec.version}, {_range(v.spec)}, attempt {v.attempt}",
    e.ReportWritten: lambda v: f"version {v.version}, {_range(v)}: {v.rows} rows, file {v.html.sha256[:SHORT]}",
    e.ReportFailed: lambda v: f"version {v.version}, {_range(v)}: {v.error}",
    e.TurnOpened: lambda v: f"{v.cause}: waits for data until {v.wait_until:%F %T}; {said(v.reason)}",
    e.TurnDeferred: lambda v: f"{v.cause} not now: {said(v.reason)}",
    e.VetoNoted: lambda v: f"broken data: {', '.join(v.kinds)}; no training" if v.kinds else "broken data is over",
    e.EpisodeNoted: lambda v: f"episode {str(v.episode_id)[:SHORT]} {'open' if v.open else 'over'}",
    e.TrainingStarted: _started,
    e.ModelVersionCreated: _created,
    e.TrainingFailed: lambda v: f"attempt {v.attempt} failed: {v.error}",
    e.TrainingSkipped: lambda v: f"skipped: {said(v.reason)}",
    e.TurnClosed: lambda v: f"version {v.version} {v.outcome}",
    e.VersionReceived: lambda v: f"version {v.version} to be checked until {v.deadline:%F %T}",
    e.ChecksStarted: lambda v: f"version {v.spec.version}, attempt {v.attempt}, {v.archived_rows} labelled rows",
    e.VersionPassed: lambda v: f"version {v.version} passed against {v.champion or 'no champion'}: {_checks(v.checks)}",
    e.VersionRefused: _refused,
    e.VersionHeld: lambda v: f"version {v.version} held until {v.until:%F %T}: {_checks(v.checks)}",
    e.RolloutStarted: lambda v: f"version {v.version} in shadow of {v.champion} until {v.deadline:%F %T}",
    e.WindowLooked: lambda v: f"version {v.version} in {v.phase}, {v.kind} {_range(v)}: {v.verdict}; {_looks(v.looks)}",
    e.StepTaken: lambda v: f"version {v.version} to {v.weight:.0%} ({v.phase}): {said(v.reason)}",
    e.VersionPromoted: lambda v: f"version {v.version} after {v.previous or 'none'}: {said(v.reason)}",
    e.RolloutAborted: lambda v: f"version {v.version} out of {v.phase}, {v.champion} stays: {said(v.reason)}",
    e.VersionRolledBack: lambda v: f"version {v.version} taken back, {v.champion} serves: {said(v.reason)}",
    e.VerdictStale: lambda v: f"version {v.version}: measured against {v.measured_against}, champion is {v.champion}",
    e.TrafficPlanned: lambda v: f"epoch {v.epoch}: {split(v)}",
    e.AlertRaised: lambda v: f"{v.severity} {v.name}: {v.summary}",
    e.DeadLettered: lambda v: f"{v.topic}/{v.partition}@{v.offset} at {v.stage}: {v.reason}, {v.error}",
}
"""One line per type of event; a test holds it to the registry."""
