"""Wiring: settings → loader, log, server, outbox → HTTP and the main loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import structlog

from everloop.errors import EverloopError, FatalError
from everloop.hosting import Health, run_polling
from everloop.http import serve_in_thread
from everloop.logs import configure
from everloop.runtime.kafka_log import KafkaLog
from everloop_serving.adapters.door import build
from everloop_serving.adapters.loading import BackgroundLoader
from everloop_serving.adapters.outbox import Outbox
from everloop_serving.handlers import NAME, Server
from everloop_serving.settings import ServingSettings

BACK_OFF_S: Final = 1.0
logger = structlog.get_logger()


class Obeying:
    """The server as the main loop steps it. Without a broker it goes on with what it knows; leases run out."""

    def __init__(self, server: Server, loader: BackgroundLoader, sleep: Callable[[float], None] = time.sleep) -> None:
        """`sleep` waits between rounds without news."""
        self.server: Final = server
        self.loader: Final = loader
        self.sleep: Final = sleep
        self.lost = False

    def step(self, timeout_s: float = 0.0) -> bool:
        """One round. An unreachable broker is tried again, from the start of the topics, and never ends the process."""
        try:
            if self.lost:
                self.server.reopen()
            moved = self.server.step()
        except FatalError as error:
            logger.warning("broker_lost", error=type(error).__name__)
            self.lost = True
            self.sleep(BACK_OFF_S)
            return False
        self.lost = False
        self.loader.keep({arm for plans in self.server.plans.values() for arm in plans.awaited})
        if not moved:
            self.sleep(timeout_s)
        return moved

    def close(self) -> None:
        """Let go of everything."""
        self.loader.close()
        self.server.close()


def now() -> datetime:
    """The machine's clock, in UTC."""
    return datetime.now(UTC)


def run(settings: ServingSettings) -> int:
    """Serve until a signal; the exit code."""
    configure(NAME, settings.replica)
    key = settings.load_key()
    health = Health()
    log = KafkaLog(settings.broker, client_id=f"everloop.{NAME}.{settings.replica}")
    loader = BackgroundLoader(settings.open_store())
    server = Server(log, loader, key, now, replica=settings.replica, metrics=health.metrics)
    outbox = Outbox(log, health.metrics)
    outbox.start()

    def why_not_ready() -> str | None:
        return health.why_not_ready() or server.awaits()

    tokens = settings.load_tokens()
    app = build(server, outbox, now, ready=why_not_ready, alive=health.why_not_alive, tokens=tokens)
    http = serve_in_thread(app, settings.http_port, settings.http_host)
    logger.info("listening", port=http.port)
    code = run_polling([Obeying(server, loader)], health=health)
    http.stop()
    outbox.close()
    with suppress(EverloopError):
        log.close()
    return code
