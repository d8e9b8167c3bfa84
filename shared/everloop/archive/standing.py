"""Which files stand, after merges, expiries and removals: the auditor's own account of it, apart from `keeping`. Pure.

What is held of a file is its id, its digest, its rows and where it was announced, nothing that grows with its rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from everloop.archive.damages import Damage
from everloop.archive.keeping import File, source_of
from everloop.events import Event, FilesExpired, FilesMerged, FilesRemoved
from everloop.runtime.log import Record


class Standing(NamedTuple):
    """A file that counts."""

    id: UUID
    sha256: str
    rows: int
    history_rows: int
    where: tuple[int, int]


@dataclass
class Shelves:
    """The files of every source, in the order of the log. `void`: merges that came after another's."""

    files: dict[tuple[str, str, int, str], list[Standing]] = field(default_factory=lambda: defaultdict(list))
    void: int = 0
    expired: int = 0

    def stand(self, record: Record, said: File) -> None:
        """A file that counts, behind the others."""
        self.files[said.model, *source_of(said)].append(_standing(record, said))

    def hear(self, record: Record, said: Event) -> Iterator[Damage]:
        """What became of files; what is wrong with it."""
        match said:
            case FilesMerged():
                yield from self._merge(record, said)
            case FilesExpired():
                self._expire(said)
            case FilesRemoved():
                gone = frozenset(said.files)
                for one in (one for files in self._of(said.model) for one in files if one.sha256 in gone):
                    found = f"the file {one.sha256[:12]}… was removed, and nothing has replaced it"
                    yield at(record, said, "removed", found)

    def places(self) -> frozenset[tuple[int, int]]:
        """Partition and offset in `archive` of what stands."""
        return frozenset(one.where for files in self.files.values() for one in files)

    def _of(self, model: str) -> list[list[Standing]]:
        return [files for (name, *_), files in self.files.items() if name == model]

    def _merge(self, record: Record, said: FilesMerged) -> Iterator[Damage]:
        files, wanted = self.files[said.model, *source_of(said)], [part.id for part in said.replaces]
        start = next((place for place, one in enumerate(files) if one.id in wanted[:1]), len(files))
        run = files[start : start + len(wanted)]
        if not run or [one.id for one in run] != wanted:
            self.void += 1
            return
        files[start : start + len(wanted)] = [_standing(record, said)]
        for name in ("rows", "history_rows"):
            parts = sum(getattr(one, name) for one in run)
            if parts != getattr(said, name):
                found = f"the merged file has {getattr(said, name)} {name}, what it replaces had {parts}"
                yield at(record, said, "merge", found, said.uri)

    def _expire(self, said: FilesExpired) -> None:
        gone = frozenset(said.files)
        for files in self._of(said.model):
            left = [one for one in files if one.id not in gone]
            self.expired += len(files) - len(left)
            files[:] = left


def at(record: Record, said: Event, rule: str, found: str, uri: str | None = None) -> Damage:
    """A damage that a record of `archive` itself shows."""
    return Damage(rule, found, *record.place, record.offset, record.offset, said.model, uri)


def _standing(record: Record, said: File) -> Standing:
    return Standing(said.id, said.sha256, said.rows, said.history_rows, (record.place.partition, record.offset))
