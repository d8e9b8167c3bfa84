"""Run by `test_full_disk` on a disk of 256 kB: fill it, archive, make room, and say what was said."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from everloop.archive.verifying import verify
from everloop.artifacts import FolderStore
from everloop_ingest.domain.spacing import AGAIN_MS
from tests.unit.ingest.test_full_disk import Story


def main(root: Path) -> None:
    """Raises `AssertionError` where a row is lost or a part of a file is left."""
    ballast, story = root / "ballast", Story()
    story.worker.store = FolderStore(root / "store")
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(os.urandom(1024)):
                pass
        except OSError:
            pass
    story.rows("a", "b")
    assert story.archived() == 0
    assert not [path for path in (root / "store").rglob("*") if path.is_file()]
    ballast.unlink()
    story.worker.wall.move(AGAIN_MS / 1000)
    story.beat()
    assert story.archived() == 4
    report = verify(story.simulation.client(), story.worker.store)
    sys.stdout.write(" ".join([*story.alerts(), "damaged" if report.damages else "whole"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
