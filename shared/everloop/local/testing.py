"""A real broker for a test session, on free ports, in a directory of the caller's."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from everloop.errors import FatalError
from everloop.local.broker import broker_command, prepare, wait_until_ready
from everloop.local.jars import ensure_jars
from everloop.local.paths import cache_directory
from everloop.local.ports import free_ports
from everloop.local.properties import BrokerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STOP_SECONDS = 15


@dataclass
class LocalBroker:
    """A broker that a test may kill and start again; its address and its data stay."""

    directory: Path
    libraries: Path
    settings: BrokerSettings = field(init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Choose the ports once."""
        port, controller_port = free_ports(2)
        self.settings = BrokerSettings(self.directory.absolute(), port, controller_port)

    @property
    def address(self) -> str:
        """The bootstrap address."""
        return self.settings.address

    @property
    def log(self) -> Path:
        """What the broker wrote."""
        return self.settings.directory / "broker.log"

    def start(self) -> None:
        """Start and wait until it answers. Raises `FatalError` with the end of its log."""
        prepare(self.settings, self.libraries)
        with self.log.open("ab") as log:
            self.process = process = subprocess.Popen(
                broker_command(self.settings, self.libraries),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        if not wait_until_ready(self.address, alive=lambda: process.poll() is None):
            self.kill()
            raise FatalError("the broker did not start:\n" + "\n".join(self.log.read_text().splitlines()[-20:]))

    def kill(self) -> None:
        """End it like a power cut."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order; killed after 15 s."""
        self._end(signal.SIGTERM)

    def _end(self, with_signal: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(with_signal)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


@contextmanager
def local_broker(directory: Path) -> Iterator[LocalBroker]:
    """A started broker with its data in `directory`; stopped at the end."""
    broker = LocalBroker(directory, ensure_jars(cache_directory(os.environ)))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def running_broker(directory: Path) -> Iterator[str]:
    """The bootstrap address of a started broker with its data in `directory`; stopped at the end."""
    with local_broker(directory) as broker:
        yield broker.address
