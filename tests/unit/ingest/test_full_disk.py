"""A store without space: nothing is lost, nothing spins, a person is told, and it goes on by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from everloop import topics
from everloop.archive.verifying import verify
from everloop.artifacts import Artifact, MemoryStore
from everloop.errors import FullError
from everloop.events import AlertRaised, ManifestCommitted, OutcomesJoined
from everloop.hosting import Health
from everloop.runtime.log import Place
from everloop.simulation import Simulation
from everloop_ingest.app import folds
from everloop_ingest.domain.spacing import AGAIN_MS, MOST_HELD, Space
from everloop_ingest.settings import Settings
from tests.unit.ingest.builders import (
    NOON_MS,
    Worker,
    apply_loop,
    beat,
    outcome_rows,
    said,
    some_labels,
    some_predictions,
    write,
)

PLACE = Place(topics.PREDICTIONS.name, 0)
ON_A_SMALL_DISK = "mount -t tmpfs -o size=256k tmpfs {root} && exec {python} -m tests.unit.ingest.small_disk {root}"


class SmallStore(MemoryStore):
    """Takes so many files, and counts the tries."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.tries = room, 0

    def put(self, data: bytes, kind: str, name: str = "") -> Artifact:
        self.tries += 1
        if len(self.kept) >= self.room:
            raise FullError("no space left for 5 bytes under /store; free some, nothing was written")
        return super().put(data, kind, name)


class Story:
    """A worker whose store is full from the start."""

    def __init__(self, room: int = 0) -> None:
        self.store, self.told = SmallStore(room), list[str | None]()
        self.worker = Worker(store=self.store, told=self.told.append)
        self.simulation = Simulation(self.worker.builds())
        apply_loop(self.simulation.client())

    def rows(self, *names: str) -> None:
        write(self.simulation.client(), topics.PREDICTIONS, 0, some_predictions(*names))
        write(self.simulation.client(), topics.LABELS, 0, some_labels(1.0, *names))
        self.beat()

    def beat(self) -> None:
        beat(self.simulation.client(), NOON_MS, fraud=NOON_MS)
        self.simulation.settle()

    def alerts(self) -> list[str]:
        return [one.name for one in said(self.simulation.broker, topics.ALERTS, AlertRaised)]

    def archived(self) -> int:
        return sum(one.rows for one in said(self.simulation.broker, topics.ARCHIVE, ManifestCommitted))


def test_without_space_nothing_is_committed_and_labels_are_joined_all_the_same() -> None:
    story = Story()
    story.rows("a", "b")
    assert story.archived() == 0
    assert story.simulation.broker.offsets["everloop.ingest.archive"].get(PLACE, 0) == 0
    assert len(outcome_rows(said(story.simulation.broker, topics.OUTCOMES, OutcomesJoined))) == 2
    assert story.alerts() == ["archive_waits"]
    assert story.told == ["the store of the archive"]


def test_it_is_tried_again_every_few_seconds_and_said_once() -> None:
    story = Story()
    story.rows("a", "b")
    for _ in range(20):
        story.beat()
    assert story.store.tries == 1
    story.worker.wall.move(AGAIN_MS / 1000)
    story.beat()
    assert (story.store.tries, story.alerts()) == (2, ["archive_waits"])


def test_with_space_again_every_row_is_archived_once() -> None:
    story = Story()
    story.rows("a", "b")
    story.rows("c")
    story.store.room = 100
    story.worker.wall.move(AGAIN_MS / 1000)
    story.beat()
    assert (story.archived(), story.alerts()) == (6, ["archive_waits", "archive_goes_on"])
    assert story.told[-1] is None
    assert verify(story.simulation.client(), story.store).damages == []
    assert story.simulation.broker.offsets["everloop.ingest.archive"][PLACE] == len(
        story.simulation.broker.records[PLACE]
    )


def test_a_disk_that_fills_between_two_files_keeps_the_first() -> None:
    story = Story(room=1)
    story.rows("a", "b")
    assert len(story.store.kept) == 1
    story.store.room = 100
    story.worker.wall.move(AGAIN_MS / 1000)
    story.beat()
    assert story.archived() == 4
    assert verify(story.simulation.client(), story.store).damages == []


def test_a_restart_while_it_is_full_loses_nothing() -> None:
    story = Story()
    story.rows("a", "b")
    story.simulation.kill("archive")
    story.beat()
    story.store.room = 100
    story.worker.wall.move(AGAIN_MS / 1000)
    story.beat()
    assert story.archived() == 4


def test_no_more_rows_are_read_than_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everloop_ingest.domain.spacing.MOST_HELD", 5)
    story = Story()
    for number in range(10):
        story.rows(f"a{number}", f"b{number}", f"c{number}")
    fold = story.simulation.running["archive"]
    assert fold is not None
    waiting = sum(batch.rows for batch in fold[0].fold.batches.values())  # type: ignore[attr-defined]  # it is one
    assert 5 <= waiting < 15
    story.store.room = 1_000
    for _ in range(3):
        story.worker.wall.move(AGAIN_MS / 1000)
        story.beat()
    assert story.archived() == 60


def test_the_limits() -> None:
    space = Space()
    assert space.accepts(MOST_HELD)
    assert not space.rests(0)
    assert (space.refused(1), space.refused(2), space.rests(3)) == (True, False, True)
    assert (space.accepts(MOST_HELD - 1), space.accepts(MOST_HELD)) == (True, False)
    assert (space.found(), space.found(), space.rests(3)) == (True, False, False)


def test_the_process_is_not_ready_meanwhile(tmp_path: Path) -> None:
    health = Health(waits_for=None)
    *_, archive = folds(Settings(var=tmp_path), health)
    archive.tell("space")  # type: ignore[attr-defined]  # the room of the archive is the last
    assert health.why_not_ready() == "space"
    archive.tell(None)  # type: ignore[attr-defined]  # as above
    assert health.why_not_ready() is None


def _may_mount() -> bool:
    """Whether this user may mount a small disk of its own, in a namespace of its own."""
    try:
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],  # noqa: S607
            capture_output=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="this system lets no user mount a disk of its own")
def test_a_real_disk_that_is_full(tmp_path: Path) -> None:
    command = ON_A_SMALL_DISK.format(root=tmp_path, python=sys.executable)
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", command],  # noqa: S607
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "archive_waits archive_goes_on whole"
