"""The main loop of a service on a carrier that polls, and its health. Raising is how such a process ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn, Protocol

import structlog

from everloop.errors import EverloopError, UsageError
from everloop.metrics import Metrics

RESTART: Final = 70
"""Exit code (EX_SOFTWARE) of a process that must be started again; see rule 12."""
USAGE: Final = 2
"""Exit code of a process that cannot run as it is told to."""
STALE_S: Final = 60.0
QUIET_S: Final = 5.0
DOZE_S: Final = 0.25
"""After five quiet seconds a round waits a quarter of a second: an idle stack leaves the machine to others."""
logger = structlog.get_logger()


class Process(Protocol):
    """What the loop steps: `DataService` and `ControlService` are such."""

    def step(self, timeout_s: float = 0.0) -> bool:
        """One round; whether there was anything to do."""

    def close(self) -> None:
        """Leave the group, let go of connections."""


@dataclass
class Health:
    """Is the process alive (progress within 60 s), and is it ready? Read from the HTTP thread."""

    metrics: Metrics = field(default_factory=Metrics)
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    waits_for: str | None = "the first round after its partitions were assigned"

    def __post_init__(self) -> None:
        """Count the time to start as progress."""
        self.moved = self.monotonic()

    def progress(self) -> None:
        """A round has ended."""
        self.moved = self.monotonic()
        self.metrics.inc("everloop_steps_total")
        self.metrics.set("everloop_last_step_seconds", self.wall())
        self.metrics.set("everloop_ready", 0 if self.waits_for else 1)

    def is_ready(self) -> None:
        """From now on the process can do its work."""
        self.waits_for = None

    def not_ready(self, why: str) -> None:
        """For the time being it cannot; `why` is one short sentence without values."""
        self.waits_for = why

    def why_not_ready(self) -> str | None:
        """Say what the service waits for; None when it is ready."""
        return self.why_not_alive() or self.waits_for

    def why_not_alive(self) -> str | None:
        """Say that there was no progress for 60 s; None while there is."""
        return None if self.monotonic() - self.moved < STALE_S else f"no progress for {STALE_S:.0f} s"


def run_polling(
    services: Sequence[Process], *, health: Health, poll_s: float = 0.05, stop: threading.Event | None = None
) -> int:
    """Step the services in turn until SIGTERM, SIGINT or `stop`; the exit code: 0, or 70 after an exception.

    `poll_s`: how long a round waits in all while there is work; `DOZE_S` when there was none for `QUIET_S`. To be
    called in the main thread, whose signal handlers it sets; with
    a `stop` of the caller's own it leaves signals alone and may run in any thread.
    """
    ends = stop or _until_signalled()
    active = health.monotonic()
    try:
        while not ends.is_set():
            wait_s = poll_s if health.monotonic() - active < QUIET_S else max(poll_s, DOZE_S)
            if any([service.step(wait_s / len(services)) for service in services]):  # noqa: C419 -- each must step
                active = health.monotonic()
            if health.waits_for and all(map(_assigned, services)):
                health.is_ready()
                logger.info("ready")
            health.progress()
        for service in services:
            service.close()
    except Exception as error:  # noqa: BLE001 -- whatever an adapter raises ends the process before the commit (rule 12)
        message = str(error) if isinstance(error, EverloopError) else ""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        logger.error("service_failed", error=type(error).__name__, message=message, where=where, exit=RESTART)  # noqa: TRY400 -- one line
        return RESTART
    logger.info("stopped")
    return 0


def started(run: Callable[[], int]) -> int:
    """Run a process from its settings to its end; the exit code: 2 when a person must change something, else 70.

    What fails before the main loop is said like what fails in it: a broker that is not there yet is a reason to be
    started again, and no traceback.
    """
    try:
        return run()
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    except Exception as error:  # noqa: BLE001 -- as in `run_polling`: the supervisor starts it again
        message = str(error) if isinstance(error, EverloopError) else ""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        logger.error("not_started", error=type(error).__name__, message=message, where=where, exit=RESTART)  # noqa: TRY400 -- one line
        return RESTART


def leave(code: int) -> NoReturn:
    """End the process now, whatever threads libraries have left behind; to be called last in `__main__`."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _assigned(service: Process) -> bool:
    """Whether the group has told the service what it holds (that may be nothing); true for one that is in no group."""
    held = getattr(service, "assigned", None)
    return held is None or held.generation > 0


def _until_signalled() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
