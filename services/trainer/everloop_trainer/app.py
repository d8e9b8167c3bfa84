"""Composition root: settings to adapters to the decider to its carrier. Nothing is decided here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from everloop.metrics import Metrics
from everloop.runtime.control import ControlService
from everloop.runtime.kafka_log import KafkaLog
from everloop.wiring import run_rooms, wall
from everloop_trainer.adapters import child_jobs, effects
from everloop_trainer.domain import State
from everloop_trainer.handlers import decider
from everloop_trainer.settings import TrainerSettings


def run(settings: TrainerSettings) -> int:
    """The trainer, until a signal; the exit code."""

    def build(log: KafkaLog, metrics: Metrics) -> list[ControlService[State]]:
        service = ControlService(
            decider(effects(settings)), log, child_jobs(settings), replica=settings.replica, wall=wall, metrics=metrics,
            hands=ThreadPoolExecutor(1),
        )  # fmt: skip
        return [service]

    return run_rooms("trainer", settings, build)
