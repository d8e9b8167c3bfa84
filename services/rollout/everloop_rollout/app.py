"""Composition root: settings to adapters to the decider to its carrier. Nothing is decided here."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from everloop.jobs import ChildJobs
from everloop.metrics import Metrics
from everloop.runtime.control import ControlService
from everloop.runtime.kafka_log import KafkaLog
from everloop.wiring import run_rooms, wall
from everloop_rollout.adapters import effects
from everloop_rollout.domain.phases import State
from everloop_rollout.handlers import decider
from everloop_rollout.settings import RolloutSettings


def run(settings: RolloutSettings) -> int:
    """Rollout, until a signal; the exit code."""

    def build(log: KafkaLog, metrics: Metrics) -> list[ControlService[State]]:
        none = ChildJobs({}, Path(tempfile.gettempdir()))
        service = ControlService(
            decider(effects(settings)), log, none, replica=settings.replica, wall=wall, metrics=metrics,
            hands=ThreadPoolExecutor(1),
        )  # fmt: skip
        return [service]

    return run_rooms("rollout", settings, build)
