"""What is done about the files of one model's archive: which are merged, which have expired, whose bytes can go.

All of it follows from the records of `archive`, the rules and two clocks: the machine's (ms) for how long a record
stands in the log, the model's (ms) for how old rows are. Whoever looks at the same records decides the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from everloop.archive.keeping import File, source_of
from everloop.events import Coverage, Event, FileRef, FilesMerged, FilesRemoved, ManifestCommitted, MergedFile
from everloop.facts import Facts, fold

DAY_MS: Final = 24 * 60 * 60 * 1000
MOST_ROWS: Final = 250_000
MOST_BYTES: Final = 64 << 20
"""Of a merged file: what bounds the memory of a merge. From half of either on a file is not small."""
FEWEST: Final = 16
"""Files that are worth a merge while more of the same day may come."""
MOST_FILES: Final = 256
"""Files in one merge, one expiry or one removal: what bounds the event."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`settle`: how long files rest before they are merged; `grace`: how long bytes stay that no reader takes anew.

    Both in ms of the machine's clock since the record was appended. `keep`: how old rows may become, in ms of event
    time, None for ever; `every`: length of a slice (ms).
    """

    settle: int
    grace: int
    keep: int | None = None
    every: int = 0


@dataclass(frozen=True, slots=True)
class Retired:
    """Bytes that count no more, since when (ms, append time)."""

    file: FileRef
    since: int


@dataclass
class Shelf:
    """The files of one model: those that count, since when each is announced, and those whose bytes are to go."""

    facts: Facts = field(default_factory=Facts)
    since: dict[str, int] = field(default_factory=dict)
    retired: dict[str, Retired] = field(default_factory=dict)

    def hear(self, said: Event, appended_ms: int) -> None:
        """Fold one record of `archive`. What was replaced, expired, or void from the start is retired by it."""
        before = self.facts.manifests
        self.facts = fold(self.facts, said)
        if isinstance(said, ManifestCommitted | FilesMerged):
            self.since.setdefault(said.sha256, appended_ms)
        if isinstance(said, FilesRemoved):
            for digest in said.files:
                self.retired.pop(digest, None)
        elif not (isinstance(said, ManifestCommitted) and self.facts.manifests is not before):
            self._retire([*before, *([said] if isinstance(said, ManifestCommitted | FilesMerged) else [])], appended_ms)

    def _retire(self, files: Sequence[File], since: int) -> None:
        """Note those of the files that do not count."""
        counting = {file.sha256 for file in self.facts.manifests}
        for file in files:
            if file.sha256 not in counting:
                self.since.pop(file.sha256, None)
                self.retired.setdefault(file.sha256, Retired(FileRef(uri=file.uri, sha256=file.sha256), since))


@dataclass(frozen=True, slots=True)
class Merge:
    """These become one file."""

    files: tuple[File, ...]

    @property
    def parts(self) -> tuple[MergedFile, ...]:
        """What the event says of them."""
        return tuple(MergedFile(id=file.id, sha256=file.sha256, rows=file.rows) for file in self.files)


@dataclass(frozen=True, slots=True)
class Expire:
    """These have only rows from before `before` (ms)."""

    files: tuple[File, ...]
    before: int


@dataclass(frozen=True, slots=True)
class Remove:
    """The bytes of these go."""

    files: tuple[FileRef, ...]


Chore = Merge | Expire | Remove


def next_chore(shelf: Shelf, rules: Rules, wall: int, now: int | None) -> Chore | None:
    """The one thing to do next, if any. `wall`: the machine's clock; `now`: the model's, None where it is not known."""
    return _expiry(shelf, rules, now) or _merge(shelf, rules, wall) or _removal(shelf, rules, wall)


def coverage_of(files: Sequence[File]) -> tuple[Coverage, ...]:
    """Rows per slice of all files together, in order of time."""
    rows = Counter[int]()
    for part in (part for file in files for part in file.coverage):
        rows[part.start] += part.rows
    return tuple(Coverage(start=start, rows=rows[start]) for start in sorted(rows))


def _expiry(shelf: Shelf, rules: Rules, now: int | None) -> Expire | None:
    """A file goes when the newest of its slices has ended before the limit; one without rows never does."""
    if rules.keep is None or now is None:
        return None
    limit = now - rules.keep
    old = [file for file in shelf.facts.manifests if file.coverage and _newest(file) + rules.every <= limit]
    return Expire(tuple(old[:MOST_FILES]), limit) if old else None


def _merge(shelf: Shelf, rules: Rules, wall: int) -> Merge | None:
    rested = wall - rules.settle
    for source in sorted({source_of(file) for file in shelf.facts.manifests}):
        files = [file for file in shelf.facts.manifests if source_of(file) == source]
        for run, is_last in _days(files):
            settled = [file for file in run if shelf.since.get(file.sha256, wall) <= rested]
            found = _worth_it(settled, closed=not is_last)
            if found:
                return Merge(tuple(found))
    return None


def _days(files: Sequence[File]) -> Iterator[tuple[list[File], bool]]:
    """Neighbours of one day (UTC, by the newest slice) with the same columns, and whether it is the newest such run."""
    runs = [list(run) for _, run in groupby(files, key=_alike)]
    for number, run in enumerate(runs):
        yield run, number == len(runs) - 1


def _alike(file: File) -> tuple[int, str]:
    columns = "" if file.columns is None else str(sorted(file.columns.items()))
    return (_newest(file) // DAY_MS if file.coverage else -1), columns


def _worth_it(run: Sequence[File], *, closed: bool) -> list[File]:
    """The first neighbours that fit into one file and are enough; of a closed day two are.

    While a day is open no file may be larger than the rest together: so each row is written again a few times at most,
    as it grows with every merge to twice its file or more.
    """
    for start in range(len(run)):
        fitting = _fitting(run[start:])
        largest = max((file.rows for file in fitting), default=0)
        balanced = 2 * largest <= sum(file.rows for file in fitting)
        if len(fitting) >= (2 if closed else FEWEST) and (closed or balanced):
            return fitting
    return []


def _fitting(files: Sequence[File]) -> list[File]:
    """As many from the front as fit; none where the first is not small, or too old to say its columns."""
    taken: list[File] = []
    rows = size = 0
    for file in files[:MOST_FILES]:
        rows, size = rows + file.rows, size + (file.size or MOST_BYTES)
        if rows > MOST_ROWS or size > MOST_BYTES or not _small(file):
            break
        taken.append(file)
    return taken


def _small(file: File) -> bool:
    return file.columns is not None and 2 * file.rows <= MOST_ROWS and 2 * (file.size or MOST_BYTES) <= MOST_BYTES


def _removal(shelf: Shelf, rules: Rules, wall: int) -> Remove | None:
    """Bytes that have rested, and that no file which counts has (the same rows give the same bytes)."""
    counting = {file.sha256 for file in shelf.facts.manifests}
    rested = [one.file for one in shelf.retired.values() if one.since + rules.grace <= wall]
    gone = [file for file in rested if file.sha256 not in counting][:MOST_FILES]
    return Remove(tuple(gone)) if gone else None


def _newest(file: File) -> int:
    return max(part.start for part in file.coverage)
