"""What every composition root does the same way: logs, health, metrics, the connection, the main loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from everloop.hosting import Health, Process, run_polling
from everloop.http import serve_in_thread, service_app
from everloop.logs import configure
from everloop.metrics import Metrics
from everloop.runtime.data import Fold
from everloop.runtime.kafka_log import KafkaLog
from everloop.settings import ServiceSettings


def wall() -> datetime:
    """The machine's clock, in UTC: for `recordedtime`, leases and heartbeats; it decides nothing."""
    return datetime.now(UTC)


def run_rooms(name: str, settings: ServiceSettings, build: Callable[[KafkaLog, Metrics], Sequence[Process]]) -> int:
    """Run the rooms of one process on the kafka-python carrier until a signal; the exit code."""
    health = _open(name, settings)
    log = KafkaLog(settings.broker, client_id=f"{name}.{settings.replica}", static=settings.replica)
    return run_polling(build(log, health.metrics), health=health)


def run_folds(name: str, settings: ServiceSettings, build: Callable[[Health], Sequence[Fold]]) -> int:
    """Run the data rooms of one process on the Faust carrier until a signal; the exit code."""
    from everloop.runtime.faust_carrier import FaustCarrier, run  # noqa: PLC0415 -- control services are without Faust

    health = _open(name, settings)
    folds = build(health)
    waiting = {fold.name for fold in folds}

    def ready(fold: str) -> None:
        waiting.discard(fold)
        if not waiting:
            health.is_ready()

    data = settings.var / "faust" / f"{name}-{settings.replica}"
    run(
        [
            FaustCarrier(
                fold, settings.broker, replica=settings.replica, data=data,
                progress=health.progress, ready=partial(ready, fold.name),
            )
            for fold in folds
        ]
    )  # fmt: skip
    return 0


def _open(name: str, settings: ServiceSettings) -> Health:
    configure(name, settings.replica)
    health = Health()
    app = service_app(
        name, metrics=health.metrics, ready=health.why_not_ready, alive=health.why_not_alive,
        tokens=settings.load_tokens(),
    )  # fmt: skip
    serve_in_thread(app, host=settings.http_host, port=settings.http_port)
    return health
