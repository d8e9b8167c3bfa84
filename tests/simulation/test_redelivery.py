"""Everything is read once more: nothing new is decided, and a state that is rebuilt is the one that was."""

from __future__ import annotations

from uuid import UUID

from everloop import topics
from everloop.events import TrafficPlanned
from everloop.runtime.control import ControlService
from everloop.runtime.data import DataService
from everloop.runtime.log import Place
from everloop.runtime.memory import MemoryClient
from everloop.simulation import Process
from everloop_drift.adapters import WindowsFold
from everloop_drift.adapters.wire import Writer, cell_message
from everloop_drift.domain.lane import Lane
from tests.simulation.books import archived_twice, lost, unbalanced, unread
from tests.simulation.stack import JOURNALS, MODEL, START, Shown, Stack, builds


def test_reading_all_again_from_the_start_decides_nothing() -> None:
    stack = Stack(seed=3).run()
    decided, ids = stack.decisions(), _ids(stack)

    for name in stack.simulation.builds:
        stack.simulation.kill(name)
    stack.simulation.broker.offsets.clear()
    stack.simulation.settle()
    stack.server = stack.serving()
    stack.server.step()

    assert stack.decisions() == decided
    assert _ids(stack) == ids
    assert not unbalanced(stack.simulation)
    assert not lost(stack.simulation)
    assert not archived_twice(stack.simulation)
    assert not unread(stack.simulation, replicas=1)
    plan = stack.server.live[MODEL].lease.plan
    assert plan.epoch == max(e.epoch for e in stack.events(topics.TRAFFIC) if isinstance(e, TrafficPlanned))


def test_the_loop_goes_on_after_all_was_read_again(undisturbed: Stack) -> None:
    stack = Stack(seed=4)
    stack.bootstrap()
    for _ in range(11):
        for name in stack.simulation.builds:
            stack.simulation.kill(name)
        stack.simulation.broker.offsets.clear()
        stack.play(1)

    assert stack.decisions() == undisturbed.decisions()
    assert not unbalanced(stack.simulation)


def test_a_control_service_that_starts_anew_has_the_state_of_the_one_that_ran(undisturbed: Stack) -> None:
    for name in ("judge-0", "trainer-0", "gatekeeper-0", "rollout-0"):
        ran, fresh = _running(undisturbed, name), _fresh(undisturbed, name)
        assert isinstance(ran, ControlService)
        assert isinstance(fresh, ControlService)
        states = {m: j.state for held in ran.held.values() for m, j in held.models.items() if j.sequence}
        again = {m: j.state for held in fresh.held.values() for m, j in held.models.items() if j.sequence}
        assert states == again
        assert states.keys() == {MODEL}


def test_windows_that_start_anew_have_the_cells_of_those_that_ran(undisturbed: Stack) -> None:
    ran, fresh = _windows(_running(undisturbed, "windows-0")), _windows(_fresh(undisturbed, "windows-0"))

    assert ran
    assert ran == fresh


def _ids(stack: Stack) -> list[UUID]:
    return [event.id for topic in JOURNALS for event in stack.journal(topic)]


def _running(stack: Stack, name: str) -> Process:
    running = stack.simulation.running[name]
    assert running is not None
    return running[0]


def _fresh(stack: Stack, name: str) -> Process:
    """The same service on the same log, with a log of its own offsets and groups: nobody is disturbed."""
    broker = stack.simulation.broker
    copy = type(broker)(broker.counts)
    copy.records = {place: list(records) for place, records in broker.records.items()}
    copy.offsets = {group: dict(offsets) for group, offsets in broker.offsets.items()}
    process = builds(1, Shown())[name](MemoryClient(copy, lambda *_: None))
    process.step()
    return process


def _windows(process: Process) -> dict[object, object]:
    assert isinstance(process, DataService)
    fold = process.fold
    assert isinstance(fold, WindowsFold)
    return {place: _plain(place, lane) for place, lane in fold.lanes.items()}


def _plain(place: Place, lane: Lane) -> object:
    writer = Writer("0", START)
    cells = {key: cell_message(place, key, cell, writer).value for key, cell in lane.cells.items()}
    known = lane.recent.newer | lane.recent.older
    return cells, lane.books, lane.clocks, known, lane.offset, lane.checked
