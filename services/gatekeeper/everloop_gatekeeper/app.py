"""Composition root: settings to adapters to the decider to its carrier. Nothing is decided here."""

from __future__ import annotations

from everloop.metrics import Metrics
from everloop.runtime.control import ControlService
from everloop.runtime.kafka_log import KafkaLog
from everloop.wiring import run_rooms, wall
from everloop_gatekeeper.adapters import child_jobs, private_key, sealer
from everloop_gatekeeper.domain import State
from everloop_gatekeeper.handlers import decider
from everloop_gatekeeper.settings import GatekeeperSettings


def run(settings: GatekeeperSettings) -> int:
    """The gatekeeper, until a signal; the exit code."""
    seal = sealer(private_key(settings))

    def build(log: KafkaLog, metrics: Metrics) -> list[ControlService[State]]:
        return [
            ControlService(
                decider(seal), log, child_jobs(settings), replica=settings.replica, wall=wall, metrics=metrics
            )
        ]

    return run_rooms("gatekeeper", settings, build)
