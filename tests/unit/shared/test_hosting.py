"""The main loop ends when it is told to, or with 70 for the supervisor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from everloop.errors import FatalError, UsageError
from everloop.hosting import RESTART, STALE_S, USAGE, Health, run_polling, started
from everloop.runtime.log import Assignment


def _nothing() -> None:
    pass


@dataclass
class FakeService:
    """Stepped three times, then it stops the loop, or does what the test says."""

    stop: threading.Event
    then: Callable[[], None] = _nothing
    generations: list[int] = field(default_factory=lambda: [0, 0, 1])
    steps: int = 0
    closed: bool = False
    ready_when: list[bool] = field(default_factory=list)
    health: Health | None = None

    @property
    def assigned(self) -> Assignment:
        return Assignment(self.generations[min(self.steps, len(self.generations)) - 1], frozenset())

    def step(self, timeout_s: float = 0.0) -> bool:
        assert timeout_s > 0
        if self.health:
            self.ready_when.append(self.health.why_not_ready() is None)
        self.steps += 1
        if self.steps > len(self.generations):
            self.then()
            self.stop.set()
        return True

    def close(self) -> None:
        self.closed = True


def test_it_steps_in_turn_and_closes() -> None:
    stop = threading.Event()
    one, other = FakeService(stop), FakeService(stop)
    assert run_polling([one, other], health=Health(), stop=stop) == 0
    assert (one.steps, other.steps, one.closed, other.closed) == (4, 4, True, True)


def test_ready_after_the_first_round_with_an_assignment() -> None:
    stop, health = threading.Event(), Health()
    service = FakeService(stop, health=health)
    run_polling([service], health=health, stop=stop)
    assert service.ready_when == [False, False, False, True]
    assert health.metrics.value("everloop_ready") == 1


def test_any_exception_ends_with_70() -> None:
    for error in (FatalError("the broker is gone"), OSError("disk"), KeyError("x")):
        stop = threading.Event()

        def fail(error: Exception = error) -> None:
            raise error

        service = FakeService(stop, then=fail)
        assert run_polling([service], health=Health(), stop=stop) == RESTART
        assert not service.closed


def test_no_progress_is_not_alive() -> None:
    now = [100.0]
    health = Health(monotonic=lambda: now[0], wall=lambda: 5.0)
    health.is_ready()
    assert health.why_not_ready() is None
    now[0] += STALE_S
    assert health.why_not_alive() == "no progress for 60 s"
    assert health.why_not_ready() == "no progress for 60 s"
    health.progress()
    assert health.why_not_alive() is None
    assert health.metrics.value("everloop_last_step_seconds") == 5.0


@pytest.mark.parametrize(
    ("error", "code"),
    [(FatalError("no Kafka answers"), RESTART), (ValueError("x"), RESTART), (UsageError("fix"), USAGE)],
)
def test_a_process_that_cannot_start_ends_with_a_code_that_its_supervisor_understands(
    error: Exception, code: int
) -> None:
    def fails() -> int:
        raise error

    assert started(fails) == code
    assert started(lambda: 0) == 0
