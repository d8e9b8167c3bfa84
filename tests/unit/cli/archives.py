"""An archive in a folder, for commands that read one: three predictions, two labels; and files merged into others."""

from __future__ import annotations

from pathlib import Path

from everloop import topics
from everloop.artifacts import FolderStore
from everloop.simulation import Simulation
from everloop_ingest.adapters.keeper import Keeper
from tests.unit.cli.turns import Stack
from tests.unit.ingest.builders import NOON_MS, Worker, apply_loop, beat, some_labels, some_predictions, write


def archived(folder: Path) -> Stack:
    """Three predictions and two labels of `fraud`, archived in `artifacts` of the folder."""
    worker = Worker()
    worker.store = FolderStore(folder / "artifacts")
    simulation = Simulation(worker.builds())
    log = simulation.client()
    apply_loop(log)
    write(log, topics.PREDICTIONS, 0, some_predictions("a", "b", "c"))
    write(log, topics.LABELS, 0, some_labels(1.0, "a", "b"))
    simulation.settle()
    beat(log, NOON_MS, fraud=NOON_MS)
    simulation.settle()
    return Stack(simulation.broker)


def merged(stack: Stack, folder: Path) -> FolderStore:
    """Two later predictions, archived as well, and then small files merged; the store."""
    log, store = stack.broker.client(), FolderStore(folder / "artifacts")
    worker = Worker(store=store)
    for number, at in enumerate((NOON_MS + 5, NOON_MS + 86_400_000)):
        write(log, topics.PREDICTIONS, 0, some_predictions(f"late {number}", at=at))
        beat(log, at, fraud=at)
        stack.broker.groups.clear()  # who was in them is gone
        simulation = Simulation(worker.builds())
        simulation.broker = stack.broker
        simulation.settle()
    Keeper(log, store, worker.wall, worker.metrics, settle_ms=0).step()
    return store
