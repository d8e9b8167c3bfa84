"""A broker that goes away: in mid-stream, in order or not, and before anybody met it. Nothing is lost or doubled."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import psutil
import pytest

from everloop import topics
from everloop.events import WindowJudged
from everloop.hosting import RESTART
from everloop.local import topics_admin
from everloop.local.testing import LocalBroker
from everloop.runtime.kafka_log import KafkaLog
from everloop.runtime.log import Assignment, Consumer
from tests.bus.suite import a_window, apply_loop, say, valid

pytestmark = [
    pytest.mark.kafka,
    # kafka-python leaves a socket behind for each connection that is refused, or cut while it asks for metadata.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MODELS = count()
PATIENCE_S = 180
PAUSE_S = 0.1


class Kept:
    """`python -m everloop_drift judge` under a supervisor: whenever it ends it is started again."""

    def __init__(self, address: str, var: Path) -> None:
        self.environment = {**os.environ, "EVERLOOP_BROKER": address, "EVERLOOP_VAR": str(var)}
        self.codes: list[int] = []
        self.process = self._start()

    def tend(self) -> None:
        """Start it again where it has ended."""
        code = self.process.poll()
        if code is not None:
            self.codes.append(code)
            self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "everloop_drift", "judge"]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def end(self) -> None:
        """End it for good."""
        self.process.kill()
        self.process.wait()


@contextmanager
def kept(broker: LocalBroker, var: Path) -> Iterator[Kept]:
    worker = Kept(broker.address, var)
    try:
        yield worker
    finally:
        worker.end()


@contextmanager
def connected(broker: LocalBroker) -> Iterator[KafkaLog]:
    log = KafkaLog(broker.address, client_id="test-broker")
    yield log
    log.close()


@pytest.fixture
def running(session_broker: LocalBroker) -> Iterator[LocalBroker]:
    topics_admin.create(session_broker.address)
    yield session_broker
    gc.collect()  # here, where the filter holds


def say_windows(log: KafkaLog, model: str, numbers: range) -> None:
    for number in numbers:
        say(log, topics.WINDOWS, a_window(model, number))


def judged(log: KafkaLog, model: str) -> list[int]:
    return [event.start for event in valid(log, topics.DRIFT, model) if isinstance(event, WindowJudged)]


def wait(worker: Kept, done: Callable[[], bool]) -> None:
    latest = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < latest, f"the worker did not get there; it ended with {worker.codes}"
        worker.tend()
        time.sleep(PAUSE_S)


@pytest.mark.parametrize("end", [LocalBroker.stop, LocalBroker.kill], ids=["SIGTERM", "kill -9"])
def test_a_broker_that_restarts_in_mid_stream_loses_and_doubles_nothing(
    running: LocalBroker, end: Callable[[LocalBroker], None], tmp_path: Path
) -> None:
    model, said = f"broker-{next(MODELS)}", 60
    with kept(running, tmp_path) as worker:
        with connected(running) as log:
            apply_loop(log, model)
            say_windows(log, model, range(said))
            wait(worker, lambda: len(judged(log, model)) > 0)
        end(running)
        running.start()
        with connected(running) as log:
            say_windows(log, model, range(said, 2 * said))
            wait(worker, lambda: len(judged(log, model)) >= 2 * said)
            assert judged(log, model) == [a_window(model, number).start for number in range(2 * said)]
    assert set(worker.codes) <= {RESTART}


def test_a_service_that_starts_before_its_broker_waits_for_it(running: LocalBroker, tmp_path: Path) -> None:
    model = f"broker-{next(MODELS)}"
    with connected(running) as log:
        apply_loop(log, model)
        say_windows(log, model, range(3))
    running.stop()
    with kept(running, tmp_path) as worker:
        wait(worker, lambda: _has_begun(worker))
        running.start()
        with connected(running) as log:
            wait(worker, lambda: len(judged(log, model)) == 3)
    assert set(worker.codes) <= {RESTART}


def _has_begun(worker: Kept) -> bool:
    """It has been refused by the port where the broker is not, or has ended because of it."""
    return bool(worker.codes) or worker.process.poll() is not None or _has_threads(worker.process.pid)


def _has_threads(pid: int) -> bool:
    """The client's own thread runs: it is trying to connect."""
    return bool(psutil.Process(pid).num_threads() > 2)


def test_a_static_member_that_is_back_at_once_disturbs_nobody(running: LocalBroker) -> None:
    """What `kill -9` looks like to the broker: the same name joins again while the dead one still counts as alive."""
    group, names = f"everloop.test.static-{next(MODELS)}", [topics.WINDOWS.name]
    logs = [KafkaLog(running.address, client_id=f"static-{n}", static=name) for n, name in enumerate("011")]
    with ExitStack() as ends:
        for log in logs:
            ends.callback(log.close)

        def join(log: KafkaLog) -> Consumer:
            member = log.consumer(group, names)
            ends.callback(member.close)
            return member

        survivor, dead = join(logs[0]), join(logs[1])
        _poll_until([survivor, dead], lambda: _share(survivor, dead))
        before, lost = survivor.assignment(), dead.assignment()
        back = join(logs[2])
        _poll_until([survivor, back], lambda: bool(back.assignment().places))
        assert back.assignment().places == lost.places
        assert survivor.assignment().places == before.places, "nobody took over: a third member would have had a share"


def _share(one: Consumer, other: Consumer) -> bool:
    held: list[Assignment] = [one.assignment(), other.assignment()]
    return all(each.places for each in held) and not held[0].places & held[1].places


def _poll_until(members: list[Consumer], done: Callable[[], bool], rounds: int = 2_000) -> None:
    for _ in range(rounds):
        if done():
            return
        for member in members:
            member.poll(0.02)
    raise AssertionError("the group did not get there")
