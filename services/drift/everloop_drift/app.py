"""Composition root: settings to adapters to rooms to carriers. Nothing is decided here.

Both rooms must know the probe, or neither: where the one sends what the other does not know, drift is said to be blind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from everloop.hosting import Health, Process
from everloop.jobs import ChildJobs
from everloop.metrics import Metrics
from everloop.names import PROBE
from everloop.runtime.control import ControlService
from everloop.runtime.data import DataService
from everloop.runtime.kafka_log import KafkaLog
from everloop.runtime.silence import Silence
from everloop.wiring import run_folds, run_rooms, wall
from everloop_drift.adapters import MergeFold, Probe, WindowsFold, child_jobs
from everloop_drift.adapters.probe import adopt
from everloop_drift.domain.probe import Schedule, probe_loop
from everloop_drift.handlers import decider, reporter
from everloop_drift.settings import DriftSettings


def windows(settings: DriftSettings) -> int:
    """Rows to partial windows, on Faust."""

    def build(health: Health) -> list[WindowsFold]:
        fold = WindowsFold(wall, health.metrics, replica=settings.replica)
        if settings.probe_ms:
            adopt(fold.known, Schedule(settings.probe_ms))
        return [fold]

    return run_folds("drift-windows", settings, build)


def judge(settings: DriftSettings) -> int:
    """Partial windows to closed windows to verdicts, on kafka-python."""

    def build(log: KafkaLog, metrics: Metrics) -> list[Process]:
        fold = MergeFold(wall, metrics, replica=settings.replica)
        merge = DataService(fold, log, replica=settings.replica)
        none = ChildJobs({}, Path(tempfile.gettempdir()))
        judges = ControlService(decider(), log, none, replica=settings.replica, wall=wall, metrics=metrics)
        found: list[Process] = [merge, judges, Silence(log, wall, source="drift")]
        if settings.probe_ms:
            schedule = Schedule(settings.probe_ms)
            adopt(fold.known, schedule)
            judges.world.loops[PROBE] = probe_loop(schedule)
            found.append(Probe(log, wall, schedule, metrics))
        return found

    return run_rooms("drift-judge", settings, build)


def reports(settings: DriftSettings) -> int:
    """Judged windows to full reports, each in a child process, on kafka-python."""

    def build(log: KafkaLog, metrics: Metrics) -> list[Process]:
        jobs = child_jobs(settings)
        return [ControlService(reporter(), log, jobs, replica=settings.replica, wall=wall, metrics=metrics)]

    return run_rooms("drift-reports", settings, build)


ROOMS: Mapping[str, Callable[[DriftSettings], int]] = {"windows": windows, "judge": judge, "reports": reports}
