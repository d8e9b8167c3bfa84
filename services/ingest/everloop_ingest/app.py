"""The wiring of both processes: settings, adapters, rooms, health. Nothing is decided here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from everloop import logs
from everloop.collector import spare_the_collector
from everloop.hosting import Health, run_polling
from everloop.http import at_end, serve_in_thread, service_app
from everloop.metrics import Metrics
from everloop.runtime.data import Fold
from everloop.runtime.kafka_log import KafkaLog
from everloop.wiring import run_folds
from everloop_ingest.adapters.archives import ArchiveFold
from everloop_ingest.adapters.beats import Beater, Patient
from everloop_ingest.adapters.caches import FolderCache
from everloop_ingest.adapters.door import Door, add_routes
from everloop_ingest.adapters.joins import JoinFold
from everloop_ingest.adapters.keeper import Keeper, keep_on
from everloop_ingest.adapters.publisher import Limits, Publisher
from everloop_ingest.adapters.routes import RouteFold
from everloop_ingest.adapters.writers import KafkaWriter
from everloop_ingest.settings import Settings

POLL_S = 0.02
KEEPER_S = 1.0


def now() -> datetime:
    """Read the wall."""
    return datetime.now(UTC)


def folds(settings: Settings, health: Health) -> tuple[Fold, ...]:
    """Give the rooms of the worker, for whatever carries them."""
    metrics, replica = health.metrics, settings.replica

    def tell(waits_for: str | None) -> None:
        health.not_ready(waits_for) if waits_for else health.is_ready()

    archive = ArchiveFold(
        settings.open_store(), now, metrics, linger_ms=int(settings.linger_s * 1000), know=metrics.know,
        replica=replica,
    )  # fmt: skip
    archive.tell = tell
    kept = settings.var / "join" / f"ingest-worker-{replica}"
    join = JoinFold(now, metrics, cache=FolderCache(kept, settings.remembered), replica=replica)
    return (RouteFold(now, metrics, replica=replica), join, archive)


def worker(settings: Settings) -> int:
    """Run the worker on the Faust carrier, with the keeper beside it in a thread; the exit code."""

    def build(health: Health) -> tuple[Fold, ...]:
        threading.Thread(target=keep, args=(settings, health.metrics), name="keeper", daemon=True).start()
        return folds(settings, health)

    return run_folds("ingest-worker", settings, build)


def keep(settings: Settings, metrics: Metrics) -> None:
    """Keep the archive until the process ends."""

    @contextmanager
    def build() -> Iterator[Keeper]:
        log, store = _connect(settings, "ingest-keeper"), settings.open_store()
        try:
            yield Keeper(log, store, now, metrics, settle_ms=int(settings.settle_s * 1000), replica=settings.replica)
        finally:
            log.close()

    keep_on(build, threading.Event(), KEEPER_S)


def door(settings: Settings) -> int:
    """Run the door: HTTP in a thread, heartbeats in this one; the exit code."""
    logs.configure("ingest", settings.replica)
    health = Health()
    limits = Limits(settings.gather_ms / 1000, settings.answer_s, settings.backlog_rows)
    publisher = Publisher(KafkaWriter(settings.broker, f"ingest-door-{settings.replica}"), health.metrics, limits)
    app = service_app(
        "ingest",
        metrics=health.metrics,
        ready=lambda: health.why_not_ready() or publisher.why_not_ready(),
        alive=health.why_not_alive,
        tokens=settings.load_tokens(),
    )
    at_end(app, publisher.close)
    beater = Beater(_connect(settings, "ingest-beats"), replica=settings.replica, wall=now, metrics=health.metrics)
    known = (beater.is_binary, beater.signatures, beater.feedback)
    add_routes(app, Door(publisher, beater.models, now, health.metrics, *known))
    spare_the_collector()
    server = serve_in_thread(app, settings.http_port, settings.http_host)
    code = run_polling([Patient(beater, health)], health=health, poll_s=POLL_S)
    server.stop()
    return code


def _connect(settings: Settings, name: str) -> KafkaLog:
    return KafkaLog(settings.broker, client_id=f"{name}-{settings.replica}", static=settings.replica)
