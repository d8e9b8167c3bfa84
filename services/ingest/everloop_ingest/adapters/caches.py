"""What the join remembers of a partition, kept on disk between two runs. A cache of `keys`, never the truth.

It is used where it stems from this very log, at an offset that is committed, and rebuilt from `keys` everywhere else.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
import structlog
from numpy.typing import NDArray

from everloop.errors import InvalidError
from everloop.runtime.log import Log, Place, Record
from everloop_ingest.adapters.shelves import FILED, FolderShelf, Tail, packed, unpacked, write, writing
from everloop_ingest.domain.batches import Group
from everloop_ingest.domain.feedback import Feedback, NoShelf
from everloop_ingest.domain.joining import HORIZON_MS, MOST_REMEMBERED, Join, Watermarks
from everloop_ingest.domain.ranges import Known
from everloop_ingest.domain.shelves import ROW, Columns, MemoryShelf, Table

FORMAT: Final = 2
STATE: Final = "state.npz"
OFTEN: Final = 100_000
"""Rows after which it is worth while to write the state anew; of a large one a quarter of it."""
logger = structlog.get_logger()
Arrays = Mapping[str, NDArray[Any]]


@dataclass(slots=True)
class Held:
    """What is known of one partition up to the offset `position`; `last` is a digest of the record before it.

    `fresh`: rows that were folded since it was last written.
    """

    join: Join
    watermarks: Watermarks
    newest: str = ""
    appended_ms: int = 0
    position: int = 0
    last: str = ""
    fresh: int = 0

    @property
    def due(self) -> bool:
        """Whether it is worth while to write it."""
        return self.fresh >= max(OFTEN, len(self.join.open) // 4)


class Cache(Protocol):
    """Where the state of joins lies."""

    def new(self, place: Place, sources: int) -> Held:
        """Nothing is remembered, and what was kept is thrown away."""

    def kept(self, place: Place, sources: int, log: Log, committed: int) -> Held | None:
        """What was kept of this place of this log, if it holds for an offset that is committed."""

    def save(self, place: Place, held: Held) -> None:
        """Keep it. Raises `FatalError` where it cannot be written."""


class MemoryCache:
    """Keeps nothing: every start folds all of `keys`."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        """`most` predictions are remembered per partition."""
        self.most = most

    def new(self, place: Place, sources: int) -> Held:
        """Nothing is remembered."""
        del place
        return Held(Join(self.most), Watermarks(sources))

    def kept(self, place: Place, sources: int, log: Log, committed: int) -> Held | None:
        """Nothing."""
        del place, sources, log, committed
        return None

    def save(self, place: Place, held: Held) -> None:
        """Nothing is kept."""
        del place, held


class FolderCache:
    """One folder per partition: the files of its shelf, and all else in one file that is replaced as a whole."""

    def __init__(self, folder: Path, most: int = MOST_REMEMBERED) -> None:
        """`folder` is this replica's alone; `most` predictions are remembered per partition."""
        self.folder = folder
        self.most = most

    def new(self, place: Place, sources: int) -> Held:
        """Nothing is remembered; the partition's folder is emptied."""
        folder = self.folder_of(place)
        with writing(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        return Held(Join(self.most, FolderShelf(folder)), Watermarks(sources))

    def kept(self, place: Place, sources: int, log: Log, committed: int) -> Held | None:
        """What was kept, or None, with the reason in the log of the process."""
        try:
            return self._kept(place, sources, log, committed)
        except FileNotFoundError:
            why = "nothing is kept"
        except InvalidError as error:
            why = str(error)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            why = "what is kept cannot be read"
        logger.info("join_rebuilt", topic=place.topic, partition=place.partition, reason=why)
        return None

    def save(self, place: Place, held: Held) -> None:
        """Keep it; then remove files that it has no use for."""
        join, parked, shelf = held.join, held.join.parked.shrunk(MemoryShelf()), cast("FolderShelf", held.join.shelf)
        told = _identity(place, held.watermarks.sources, self.most) | {
            "position": held.position, "last": held.last, "newest": held.newest, "appended_ms": held.appended_ms,
            "heard": held.watermarks.heard, "minute": join.minute, "groups": join.groups, "first": join.open.first,
            "first_open": shelf.first_open, "files": {number: file.check for number, file in shelf.files.items()},
            "feedback": {"names": join.feedback.names, "since": join.feedback.since, "first": join.feedback.told.first},
        }  # fmt: skip
        arrays = {
            "told": np.frombuffer(json.dumps(told).encode(), np.uint8),
            **_tail(shelf.tail), **join.ranges.columns, "parked_keys": parked.keys[: len(parked)],
            **_named("open", join.open.columns), **_named("parked", parked.columns), **_feedback(join.feedback),
        }  # fmt: skip
        write(self.folder_of(place) / STATE, lambda out: np.savez(out, **cast("Any", arrays)))
        shelf.tidy()
        held.fresh = 0

    def folder_of(self, place: Place) -> Path:
        """Where the state of a partition lies."""
        return self.folder / f"{place.topic}-{place.partition}"

    def _kept(self, place: Place, sources: int, log: Log, committed: int) -> Held:
        with (self.folder_of(place) / STATE).open("rb") as file, np.load(file, allow_pickle=False) as read:
            arrays = dict(read)
        told = json.loads(arrays["told"].tobytes())
        identity = _identity(place, sources, self.most)
        if {name: told.get(name) for name in identity} != identity:
            raise InvalidError("other", "what is kept was made under other settings or by another version")
        if told["position"] > committed:
            raise InvalidError("ahead", "what is kept is ahead of the committed offset")
        if _last(log, place, told["position"]) != told["last"]:
            raise InvalidError("foreign", "what is kept does not stem from this log")
        return _held(self._join(place, told, arrays), told)

    def _join(self, place: Place, told: Mapping[str, Any], arrays: Arrays) -> Join:
        checks = {int(number): check for number, check in told["files"].items()}
        names = unpacked(arrays["names"].tobytes(), arrays["sizes"])
        tail = Tail(arrays["keys"], arrays["rows"], names)
        shelf = FolderShelf.found(self.folder_of(place), checks, told["first_open"], tail)
        join = Join(self.most, shelf, minute=told["minute"])
        for group in told["groups"]:
            join.place_of(Group(*group[:7], *map(tuple, group[7:])))
        join.open = Table.restored(shelf, told["first"], shelf.all_keys(told["first"]), _taken("open", arrays))
        keys, waiting = arrays["parked_keys"], MemoryShelf()
        waiting.append(keys, np.zeros(len(keys), ROW), [""] * len(keys))
        join.parked = Table.restored(waiting, 0, keys, _taken("parked", arrays), holes=True)
        join.ranges = Known.restored(arrays)
        join.feedback = _feedback_of(told["feedback"], arrays)
        return join


def digest_of(record: Record) -> str:
    """What tells a record from every other of every log: its place, when it was appended, and all that it says."""
    where = f"{record.place}/{record.offset}/{record.appended_ms}/{sorted(record.headers)}"
    hashed = blake2b(where.encode(), digest_size=16)
    hashed.update(record.value or b"")
    return hashed.hexdigest()


def _held(join: Join, told: Mapping[str, Any]) -> Held:
    watermarks = Watermarks(told["sources"], {int(source): clocks for source, clocks in told["heard"].items()})
    return Held(join, watermarks, told["newest"], told["appended_ms"], told["position"], told["last"])


def _identity(place: Place, sources: int, most: int) -> dict[str, Any]:
    """What must be the same for the state of another run to be of use."""
    return {
        "format": FORMAT, "topic": place.topic, "partition": place.partition, "sources": sources, "most": most,
        "horizon_ms": HORIZON_MS, "filed": FILED, "row": str(ROW),
    }  # fmt: skip


def _last(log: Log, place: Place, position: int) -> str:
    """The digest of the record before an offset; empty where there is none any more."""
    record = log.record_at(place, position - 1) if position else None
    return digest_of(record) if record else ""


def _tail(tail: Tail) -> dict[str, NDArray[Any]]:
    names, sizes = packed(tail.names)
    return {"rows": tail.rows, "keys": tail.keys, "names": np.frombuffer(names, np.uint8), "sizes": sizes}


def _feedback(known: Feedback) -> dict[str, NDArray[Any]]:
    """The columns of both tables; of values that wait those that wait no more are left out."""
    waiting = known.waiting.shrunk(NoShelf())
    return {
        "told_keys": known.told.all_keys, **_named("told", known.told.columns),
        "waiting_keys": waiting.all_keys, **_named("waiting", waiting.columns),
    }  # fmt: skip


def _feedback_of(told: Mapping[str, Any], arrays: Arrays) -> Feedback:
    """What `_feedback` gave."""
    values = Table.restored(NoShelf(), told["first"], arrays["told_keys"], _taken("told", arrays))
    waiting = Table.restored(NoShelf(), 0, arrays["waiting_keys"], _taken("waiting", arrays), holes=True)
    return Feedback(values, waiting, told["names"], told["since"])


def _named(table: str, columns: Columns) -> dict[str, NDArray[Any]]:
    return {f"{table}_{name}": column for name, column in columns._asdict().items()}


def _taken(table: str, arrays: Arrays) -> Columns:
    return Columns(*(arrays[f"{table}_{name}"] for name in Columns._fields))
