"""What predictions said, on disk: files that are written once, whole, and mapped into memory where they are read."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from everloop.errors import FatalError, InvalidError
from everloop_ingest.domain.shelves import RAW, ROW, Keys, Numbers, Said, grown, places_of

FILED: Final = 65_536
"""Rows of one file. Those that are not as many yet are in memory."""
SUFFIX: Final = ".rows"
_ROWS_END: Final = FILED * ROW.itemsize
_KEYS_END: Final = _ROWS_END + FILED * 16
_NAMES_START: Final = _KEYS_END + FILED * 4


class Tail(NamedTuple):
    """Rows that are not in files yet."""

    keys: Keys
    rows: Said
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class _File:
    """A file of rows. Its pages are given back after each reading, of which one row can bring megabytes into memory.

    They stay in the system's cache, and count as nobody's memory.
    """

    path: Path
    check: int
    pages: mmap.mmap
    rows: Said
    earliest: int
    latest: int

    def take(self, places: Numbers) -> Said:
        """Rows."""
        found: Said = self.rows.take(places)
        self.give_back()
        return found

    def names(self, places: Numbers) -> list[str]:
        """The names of rows."""
        sizes = np.frombuffer(self.pages, "<u4", FILED, _KEYS_END)
        ends = np.cumsum(sizes, dtype=np.int64) + _NAMES_START
        pairs = zip((ends - sizes)[places].tolist(), ends[places].tolist(), strict=True)
        found = [_text(self.pages[start:end]) for start, end in pairs]
        self.give_back()
        return found

    def give_back(self) -> None:
        """Let the system have the pages."""
        self.pages.madvise(mmap.MADV_DONTNEED)


class FolderShelf:
    """A `Shelf` in a folder. A file is named by its place in the order of all: rows, then keys, then names."""

    def __init__(self, folder: Path) -> None:
        """An empty one. What lies in the folder is overwritten, or removed by `tidy`."""
        self.folder = folder
        self.files: dict[int, _File] = {}
        self.first_open = 0
        self.keys: Keys = np.empty((0, 2), np.uint64)
        self.rows: Said = np.empty(0, ROW)
        self.texts: list[str] = []
        self.used = 0
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def found(cls, folder: Path, checks: Mapping[int, int], first_open: int, tail: Tail) -> FolderShelf:
        """Continue with files that have these checks, and what was not in files yet.

        Raises `InvalidError` where a file has another check, `OSError` where it cannot be read.
        """
        shelf = cls(folder)
        shelf.first_open, shelf.used = first_open, len(tail.rows)
        shelf.keys, shelf.rows, shelf.texts = tail.keys, tail.rows, list(tail.names)
        for number, check in checks.items():
            path = shelf._path(number)
            if crc32(path.read_bytes()) != check:
                raise InvalidError("damaged", f"{path.name} is not what was written")
            shelf.files[number] = _mapped(path, check)
        return shelf

    @property
    def tail(self) -> Tail:
        """What is not in files yet."""
        return Tail(self.keys[: self.used], self.rows[: self.used], self.texts)

    def append(self, keys: Keys, rows: Said, names: Sequence[str]) -> None:
        """Lay down the next rows. Raises `FatalError` where they cannot be written."""
        if self.used + len(rows) > len(self.rows):
            self.rows, self.keys = grown(self.rows[: self.used], len(rows)), grown(self.keys[: self.used], len(rows))
        new = slice(self.used, self.used + len(rows))
        self.rows.view(RAW)[new], self.keys[new] = rows.view(RAW), keys
        self.texts += names
        self.used += len(rows)
        while self.used >= FILED:
            self._file()

    def take(self, numbers: Numbers) -> Said:
        """The rows with these numbers."""
        found: Said = np.empty(len(numbers), ROW)
        for file, here in self._by_file(numbers):
            rows = self.rows.take(numbers[here] - self.first_open) if file is None else file.take(numbers[here] % FILED)
            found.view(RAW)[here] = rows.view(RAW)
        return found

    def names(self, numbers: Numbers) -> list[str]:
        """The names of rows."""
        found = [""] * len(numbers)
        for file, here in self._by_file(numbers):
            places = (numbers[here] - self.first_open) if file is None else numbers[here] % FILED
            some = [self.texts[place] for place in places.tolist()] if file is None else file.names(places)
            for place, name in zip(here.tolist(), some, strict=True):
                found[place] = name
        return found

    def of_entities(self, entities: Keys, start: int, end: int) -> Numbers:
        """Numbers of rows of these entities; files of other times are not looked at."""
        found = [self.first_open + places_of(self.rows[: self.used], entities, start, end)]
        for number, file in sorted(self.files.items(), reverse=True):
            if file.earliest < end and file.latest >= start:
                found.append(number * FILED + places_of(file.rows, entities, start, end))
                file.give_back()
        return np.concatenate(found[::-1])

    def drop(self, before: int) -> None:
        """Let go of files whose rows all lie before; `tidy` takes them from the disk."""
        for number in [number for number in self.files if (number + 1) * FILED <= before]:
            del self.files[number]

    def all_keys(self, first: int) -> Keys:
        """The keys of all rows from number `first` on."""
        found: Keys = np.empty((self.first_open + self.used - first, 2), np.uint64)
        for number, file in self.files.items():
            start = number * FILED
            keys = np.frombuffer(file.path.read_bytes(), np.uint64, 2 * FILED, _ROWS_END).reshape(-1, 2)
            found[max(0, start - first) : start - first + FILED] = keys[max(0, first - start) :]
        found[max(0, self.first_open - first) :] = self.keys[max(0, first - self.first_open) : self.used]
        return found

    def tidy(self) -> None:
        """Remove files that nobody asks for any more."""
        kept = {file.path for file in self.files.values()}
        for path in self.folder.glob(f"*{SUFFIX}"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _by_file(self, numbers: Numbers) -> Iterator[tuple[_File | None, Numbers]]:
        """Places in `numbers` by the file that has them; None for those in memory."""
        files = numbers // FILED
        for number in np.unique(files).tolist():
            yield self.files.get(number), np.flatnonzero(files == number)

    def _file(self) -> None:
        number, path = self.first_open // FILED, self._path(self.first_open // FILED)
        names, sizes = packed(self.texts[:FILED])
        data = b"".join([self.rows[:FILED].tobytes(), self.keys[:FILED].tobytes(), sizes.tobytes(), names])
        write(path, lambda out: out.write(data))
        self.files[number] = _mapped(path, crc32(data))
        self.rows, self.keys = self.rows[FILED : self.used].copy(), self.keys[FILED : self.used].copy()
        del self.texts[:FILED]
        self.used, self.first_open = len(self.rows), self.first_open + FILED

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}{SUFFIX}"


def packed(names: Sequence[str]) -> tuple[bytes, NDArray[np.uint32]]:
    """Texts as bytes, and how many of them each takes."""
    encoded = [name.encode("utf-8", "surrogatepass") for name in names]
    return b"".join(encoded), np.array([*map(len, encoded)], "<u4")


def unpacked(data: bytes, sizes: NDArray[np.uint32]) -> list[str]:
    """The texts again."""
    ends = np.cumsum(sizes, dtype=np.int64)
    return [_text(data[start:end]) for start, end in zip((ends - sizes).tolist(), ends.tolist(), strict=True)]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def write(path: Path, put: Callable[[BinaryIO], object]) -> None:
    """Write a file, whole or not at all. Raises `FatalError` where there is no room for it."""
    half = path.with_suffix(".half")
    with writing(path.parent):
        with half.open("wb") as out:
            put(out)
        half.replace(path)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say what a person can do where a folder cannot be written to."""
    try:
        yield
    except OSError as error:
        raise FatalError(
            f"the join cannot write to {folder}: {error.strerror}. Free some space, or name another folder in "
            "EVERLOOP_VAR; nothing is lost, what was not committed is read again"
        ) from error


def _mapped(path: Path, check: int) -> _File:
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    rows = np.frombuffer(pages, ROW, FILED)
    made = _File(path, check, pages, rows, int(rows["time"].min()), int(rows["time"].max()))
    made.give_back()
    return made
