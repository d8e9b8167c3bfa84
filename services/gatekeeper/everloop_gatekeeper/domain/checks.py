"""A version's figures against the rules: a list of checks, all reported. Pure; nothing is measured here.

`pass` and `skipped` let a version go on, `fail` ends it, `too_few` holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import inf, isfinite, sqrt
from typing import Final, Literal

from everloop.events import Check, CheckSpec, Reason
from everloop.loop import Loop
from everloop.loop.metrics import HIGHER_IS_BETTER, Metric
from everloop_gatekeeper.domain.figures import Figures
from everloop_gatekeeper.domain.noninferiority import ENOUGH, Contrast, alpha_for_attempt, judge, noninferiority

Verdict = Literal["pass", "fail", "too_few", "skipped"]
ALPHA: Final = 0.05
"""Chance, over all measurements of one version, that one which is worse than the margin passes."""
MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Examined:
    """A version with its figures; `measurement` counts how often it was measured against this champion."""

    spec: CheckSpec
    figures: Figures
    measurement: int = 1


def all_checks(seen: Examined, loop: Loop) -> tuple[Check, ...]:
    """Hold the figures against every rule."""
    return (
        *_floors(seen, loop),
        *_champion(seen, loop),
        _latency(seen.figures, loop),
        _size(seen.figures, loop),
        _digest(seen),
        _schema(seen, loop),
        _calibration(seen.figures),
    )


def not_measured(spec: CheckSpec | None, loop: Loop, why: Check) -> tuple[Check, ...]:
    """List all checks as skipped, for a version that goes without having been measured, and `why` it goes."""
    floors = [f"floor.{name}" for name in loop.gate.floor] or ["floor"]
    champion = ["champion"] if spec and spec.champion is None else [f"champion.{name}" for name in loop.non_inferiority]
    names = (*floors, *champion, "latency_p95", "size", "digest", "schema", "calibration")
    return (*(_skipped(name, "it was not measured") for name in names), why)


def metrics_needed(loop: Loop) -> tuple[str, ...]:
    """The metrics that the rules of this loop ask for, in order of name."""
    return tuple(sorted({*loop.gate.floor, *loop.non_inferiority}))


def _skipped(name: str, why: str) -> Check:
    return Check(name=name, verdict="skipped", reason=Reason(rule=name, measured=why))


def _floors(seen: Examined, loop: Loop) -> Iterator[Check]:
    """The worst value of each metric that passes, by the estimate; too few rows make no estimate."""
    if not loop.gate.floor:
        yield _skipped("floor", "no floor is set")
    for metric, limit in loop.gate.floor.items():
        yield _floor(metric, limit, seen.figures)


def _floor(metric: Metric, limit: float, figures: Figures) -> Check:
    name, rule = f"floor.{metric}", f"gate.floor.{metric}"
    if not figures.loads:
        return _skipped(name, "the file cannot be loaded")
    found = figures.metrics.get(metric)
    if found is None or found.samples < ENOUGH:
        return _too_few(name, rule, found.samples if found else 0)
    value, samples = found.value[0], found.samples
    good = value >= limit if metric in HIGHER_IS_BETTER else value <= limit
    reason = Reason(rule=rule, measured=value, limit=limit, samples=samples, where="loop")
    detail = {"standard_error": sqrt(max(0.0, found.covariance[0][0])), "rows": float(figures.rows)}
    return Check(name=name, verdict="pass" if good else "fail", reason=reason, detail=detail)


def _too_few(name: str, rule: str, samples: int) -> Check:
    reason = Reason(rule=rule, measured="too few rows of a class or of entities", limit=ENOUGH, samples=samples)
    return Check(name=name, verdict="too_few", reason=reason)


def _champion(seen: Examined, loop: Loop) -> Iterator[Check]:
    """At least the given share of the champion's worth, on the same rows."""
    if seen.spec.champion is None:
        yield _skipped("champion", "the model has no champion yet")
        return
    for metric, ratio in loop.non_inferiority.items():
        where = "loop" if loop.gate.champion else "default"
        yield _against(metric, ratio, where, seen)


def _against(metric: Metric, ratio: float, where: str, seen: Examined) -> Check:
    name, rule = f"champion.{metric}", f"gate.champion.{metric}"
    if not seen.figures.loads:
        return _skipped(name, "the file cannot be loaded")
    found = seen.figures.metrics.get(metric)
    if found is None:
        return _too_few(name, rule, 0)
    new, champion = found.value
    higher = metric in HIGHER_IS_BETTER
    alpha = alpha_for_attempt(ALPHA, seen.measurement)
    contrast = noninferiority(
        new, champion, found.covariance, ratio, alpha, higher_is_better=higher, samples=found.samples,
        degrees=found.degrees or inf,
    )  # fmt: skip
    limit = ratio * champion if higher else champion / ratio
    reason = Reason(rule=rule, measured=new, limit=limit, samples=found.samples, where=where)
    detail = {"new": new, "champion": champion, "ratio": ratio, "alpha": alpha, **_told(contrast)}
    finite = {key: value for key, value in detail.items() if isfinite(value)}  # JSON has no infinity
    return Check(name=name, verdict=judge(contrast), reason=reason, detail=finite)


def _told(contrast: Contrast) -> Mapping[str, float]:
    return {
        "estimate": contrast.estimate,
        "lower": contrast.lower,
        "upper": contrast.upper,
        "p_value": contrast.p_value,
        "detectable_margin": contrast.detectable_margin,
        "power_at_equality": contrast.power_at_equality,
    }


def _latency(figures: Figures, loop: Loop) -> Check:
    """Scoring one row, in milliseconds; the champion's is told beside it and decides nothing."""
    name, limit = "latency_p95", loop.gate.latency_p95 / MILLISECOND
    found = figures.latency
    if not figures.loads:
        return _skipped(name, "the file cannot be loaded")
    if found is None or not found.rows:
        return _too_few(name, "gate.latency_p95", 0)
    reason = Reason(rule="gate.latency_p95", measured=found.p95, limit=limit, samples=found.rows, where="loop")
    detail = {"p50_ms": found.p50, "p95_ms": found.p95}
    if figures.champion_latency:
        detail["champion_p95_ms"] = figures.champion_latency.p95
    return Check(name=name, verdict="pass" if found.p95 <= limit else "fail", reason=reason, detail=detail)


def _size(figures: Figures, loop: Loop) -> Check:
    if not figures.size:
        return _skipped("size", "the file cannot be read")
    good = figures.size <= loop.gate.size
    reason = Reason(rule="gate.size", measured=figures.size, limit=loop.gate.size, samples=1, where="loop")
    return Check(name="size", verdict="pass" if good else "fail", reason=reason)


def _digest(seen: Examined) -> Check:
    """The stored bytes are those of the digest, hold nothing that is not on our allow-list, and score in a child."""
    figures, digest = seen.figures, seen.spec.artifact.sha256
    if figures.loads:
        return Check(name="digest", verdict="pass", reason=Reason(rule="digest", measured=digest, samples=1))
    reason = Reason(rule=f"digest.{figures.reason}", measured=figures.message, limit=digest, samples=1)
    return Check(name="digest", verdict="fail", reason=reason)


def _schema(seen: Examined, loop: Loop) -> Check:
    """What is asked of producers may grow, and must not change: all features of the champion, of the same kind.

    Without a champion those that the loop names. The file itself must say the same as the event about it.
    """
    spec, figures = seen.spec, seen.figures
    if not figures.loads:
        return _skipped("schema", "the file cannot be loaded")
    required = spec.champion.features if spec.champion else loop.features or {}
    wrong = [name for name, kind in required.items() if figures.features.get(name) != kind]
    if dict(figures.features) != dict(spec.features) or {figures.task, spec.task} != {loop.task}:
        return _schema_check("fail", "the file's task or features are not those of its event and loop", required)
    if wrong:
        return _schema_check("fail", f"missing or of another kind: {', '.join(sorted(wrong))}", required)
    added = sorted(figures.features.keys() - required.keys()) if required else []
    return _schema_check("pass", f"added: {', '.join(added)}" if added else "equal", required)


def _schema_check(verdict: Verdict, measured: str, required: Mapping[str, str]) -> Check:
    return Check(name="schema", verdict=verdict, reason=Reason(rule="schema", measured=measured, samples=len(required)))


def _calibration(figures: Figures) -> Check:
    """Told, not judged: there is no limit for it yet."""
    error = figures.calibration_error
    if error is None:
        return _skipped("calibration", "it is measured for binary tasks with rows only")
    reason = Reason(rule="calibration", measured=error, samples=figures.rows)
    return Check(name="calibration", verdict="pass", reason=reason)
