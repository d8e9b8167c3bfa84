"""A holder that stands still before it publishes, and publishes after another has taken its place."""

from __future__ import annotations

import pytest

from everloop import topics
from everloop.runtime.data import DataService
from everloop.runtime.log import Place
from everloop.simulation import Point, Simulation
from everloop_drift.adapters import WindowsFold
from everloop_drift.domain.lane import Lane
from tests.builders import NOON
from tests.unit.books.stack import begin, rows, write

PLACE = Place(topics.PREDICTIONS.name, 0)
GROUP = "everloop.drift.windows"


def with_a_zombie() -> Simulation:
    """Five rows are taken, ten more come while their taker stands still; its older state is the last in the log."""
    builds = {
        f"windows-{n}": lambda log, n=n: DataService(WindowsFold(lambda: NOON, replica=str(n)), log, replica=str(n))
        for n in range(2)
    }
    simulation, stood_still = Simulation(builds), list[str]()
    log = simulation.client()

    def stand_still(point: Point) -> bool:
        if (point.effect, point.moment, point.detail) == (
            "publish",
            "before",
            topics.PARTIALS.name,
        ) and not stood_still:
            stood_still.append(point.process)
            simulation.evict(point.process)
            write(log, topics.PREDICTIONS, 0, rows("r2", *map(str, range(5, 15))))
            simulation.settle(without=point.process)
        return False

    simulation.crash = stand_still
    begin(log)
    write(log, topics.PREDICTIONS, 0, rows("r1", *map(str, range(5))))
    simulation.settle()
    assert simulation.broker.offsets[GROUP][PLACE] == 2
    return simulation


def restored(simulation: Simulation) -> Lane:
    """What the next holder knows."""
    fold, log = WindowsFold(lambda: NOON), simulation.client()
    service = DataService(fold, log, replica="2")
    service.hear_broadcasts()
    fold.restore(log, log.committed(GROUP, [PLACE]))
    return fold.lanes[PLACE]


@pytest.mark.parametrize("compacted", [False, True])
def test_what_a_zombie_publishes_late_takes_no_row_away(*, compacted: bool) -> None:
    """Compaction keeps the later record of a key, which would be the zombie's older one if they had one key."""
    simulation = with_a_zombie()
    if compacted:
        simulation.broker.compact(topics.PARTIALS.name)
    lane = restored(simulation)
    assert lane.books.counted == 15
    assert [cell.inputs.rows for cell in lane.cells.values() if cell.inputs] == [15]
