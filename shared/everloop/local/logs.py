"""The processes' log files: bounded in size, read from the end."""

from __future__ import annotations

import shutil
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LARGEST_BYTES = 32 * 1024 * 1024


def rotate(path: Path, largest: int = LARGEST_BYTES) -> bool:
    """Move a log that has grown too large to `NAME.log.1` and go on in the same file; True when that was done.

    The writer keeps its descriptor, opened for appending: it goes on at the new end. What is written between the copy
    and the cut is lost, as with `copytruncate`.
    """
    if not path.exists() or path.stat().st_size <= largest:
        return False
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    with path.open("r+b") as file:
        file.truncate(0)
    return True


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log, without line ends; none when it does not exist."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        return [line.decode("utf-8", "replace").rstrip("\r\n") for line in deque(file, maxlen=lines)]


def follow(path: Path, wait: Callable[[], object]) -> Iterator[str]:
    """Yield what is appended from now on, for ever; `wait()` is called whenever there is nothing new."""
    position = path.stat().st_size if path.exists() else 0
    while True:
        size = path.stat().st_size if path.exists() else 0
        position = 0 if size < position else position
        if size == position:
            wait()
            continue
        with path.open("rb") as file:
            file.seek(position)
            new = file.read(size - position)
        position += len(new)
        yield new.decode("utf-8", "replace")
