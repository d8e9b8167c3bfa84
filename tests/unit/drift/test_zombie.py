"""A holder that stands still before it publishes, and publishes after another has taken its place."""

from __future__ import annotations

import pytest

from everloop import topics
from everloop.runtime.data import DataService
from everloop.runtime.log import Place
from everloop.simulation import Point, Simulation
from everloop_drift.adapters import WindowsFold
from everloop_drift.domain.slices import Partition
from tests.builders import NOON
from tests.compaction import compact
from tests.unit.books.stack import begin, rows, write

PLACE = Place(topics.PREDICTIONS.name, 0)
GROUP = "everloop.drift.windows"


def with_a_zombie() -> Simulation:
    """Five rows are taken, ten more come while their taker stands still; its older state is the last in the log."""
    builds = {
        f"windows-{n}": lambda log, n=n: DataService(WindowsFold(lambda: NOON), log, replica=str(n)) for n in range(2)
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


def restored(simulation: Simulation) -> Partition:
    """What the next holder knows."""
    fold, log = WindowsFold(lambda: NOON), simulation.client()
    fold.restore(log, log.committed(GROUP, [PLACE]))
    return fold.parts[PLACE]


@pytest.mark.parametrize(
    "compacted",
    [
        False,
        pytest.param(True, marks=pytest.mark.xfail(
            strict=True, reason="compaction keeps the later record of a key, which here is the zombie's older one"
        )),
    ],
)  # fmt: skip
def test_what_a_zombie_publishes_late_takes_no_row_away(*, compacted: bool) -> None:
    simulation = with_a_zombie()
    if compacted:
        compact(simulation.broker, topics.PARTIALS)
    part = restored(simulation)
    assert part.books.counted == 15
    assert [cell.inputs.rows for cell in part.cells.values()] == [15]
