"""Batches on disk, first in, first out: bounded, and readable after a crash at any byte.

A folder has a sub-folder for each process that writes, which that process locks, so that forked workers share the
folder. In it are segments, `00000001.seg` and so on, only ever appended to. A segment is a sequence of frames:

    length of the payload (4 bytes, big-endian) | CRC-32 of the length and the payload (4 bytes) | payload

The first frame that is not whole ends its segment: that is what a crash leaves. Nobody appends to a segment of an
earlier process. What is written survives the end of the process at once; a segment is flushed to the disk (fsync) when
it is full and when the spill is closed, so that a machine that loses power loses at most the open one.

A segment is removed when all its frames were taken. After a crash its frames come again, under the same ids.
"""

from __future__ import annotations

import fcntl
import os
import struct
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from everloop.client.batches import Batch

HEAD: Final = struct.Struct(">II")
LENGTH: Final = struct.Struct(">I")
LARGEST: Final = 64 << 20
"""No frame is larger: a length beyond it is damage."""
LOCK: Final = "lock"
SUFFIX: Final = ".seg"
Write = Callable[[int, memoryview], int]


def frame(payload: bytes) -> bytes:
    """Give the bytes of a frame."""
    return HEAD.pack(len(payload), _crc(payload)) + payload


def frames(data: bytes) -> Iterator[bytes]:
    """Give the payloads of a segment up to the first frame that is not whole."""
    at = 0
    while at + HEAD.size <= len(data):
        length, crc = HEAD.unpack_from(data, at)
        payload = data[at + HEAD.size : at + HEAD.size + length]
        if len(payload) < length or crc != _crc(payload):
            return
        yield payload
        at += HEAD.size + length


def to_payload(batch: Batch) -> bytes:
    """Write a batch: all but its body as one line of JSON, then the body."""
    return orjson.dumps(batch[:-1]) + b"\n" + batch.body


def from_payload(payload: bytes) -> Batch:
    """Read what `to_payload` has written."""
    head, _, body = payload.partition(b"\n")
    identity, kind, model, rows, made_ms = orjson.loads(head)
    return Batch(identity, kind, model, rows, made_ms, body)


def batches(data: bytes) -> Iterator[Batch]:
    """Give the batches of a segment up to the first that cannot be read."""
    with suppress(ValueError, TypeError):
        yield from map(from_payload, frames(data))


def _crc(payload: bytes) -> int:
    """The length is in it: a tail of zeros is no frame."""
    return zlib.crc32(payload, zlib.crc32(LENGTH.pack(len(payload))))


@dataclass(slots=True)
class _Segment:
    path: Path
    size: int = 0
    rows: int = 0


class Spill:
    """A queue of batches in files. Not for several threads at once. Whatever the disk says stays in here."""

    def __init__(self, folder: Path, most_bytes: int, segment_bytes: int, write: Write = os.write) -> None:
        """Nothing is touched before the first call of `adopt` or `append`."""
        self._write: Final = write
        self._folder: Final = folder
        self._most: Final = most_bytes
        self._segment_bytes: Final = segment_bytes
        self._own: Path | None = None
        self._locks: Final[list[int]] = []
        self._segments: Final[deque[_Segment]] = deque()
        self._writing: int | None = None
        self._number = 0
        self._waiting: Final[deque[Batch]] = deque()
        self._reading: _Segment | None = None
        self.rows = 0
        self.bytes = 0
        self.lost = 0
        """Rows that were here and can no longer be read, since the disk refuses."""

    def adopt(self) -> int:
        """Take over what processes that have ended left; the rows. They come before all that is appended."""
        places: list[Path] = []
        with suppress(OSError):
            places = sorted(self._folder.iterdir())
        found = sum(self._adopt(place) for place in places if place != self._own)
        self.rows += found
        return found

    def append(self, batch: Batch) -> bool:
        """Write a batch behind all others; False where there is no room or the disk refuses."""
        data = frame(to_payload(batch))
        if self.bytes + len(data) > self._most or len(data) > LARGEST:
            return False
        try:
            file = self._open(len(data))
        except FileNotFoundError:
            self._own = None  # somebody has removed it: a new one next time
            return False
        except OSError:
            return False
        if not self._appended(file, data):
            return False
        self._segments[-1].size += len(data)
        self._segments[-1].rows += batch.rows
        self.bytes += len(data)
        self.rows += batch.rows
        return True

    def first(self) -> Batch | None:
        """The oldest batch, which stays; None where nothing lies here."""
        while not self._waiting and self._segments:
            if self._reading is self._segments[0]:
                self._remove()
            else:
                self._read(self._segments[0])
        return self._waiting[0] if self._waiting else None

    def pop(self) -> None:
        """Forget the oldest batch: it has arrived."""
        if self.first() is None:
            return
        rows = self._waiting.popleft().rows
        self.rows -= rows
        self._segments[0].rows -= rows
        if not self._waiting and self._reading is not None:
            self._remove()

    def close(self) -> None:
        """Flush, and let go of the locks: the next process may take what is left."""
        self._seal()
        if self._own is not None:
            self._clean(self._own)
        self.abandon()

    def abandon(self) -> None:
        """In a forked child: let go of the copies of locks and files, which are the parent's."""
        for held in (*self._locks, *([] if self._writing is None else [self._writing])):
            os.close(held)
        self._locks.clear()
        self._writing = None

    def _adopt(self, place: Path) -> int:
        """Take over a sub-folder, if nobody lives in it; the rows."""
        rows = 0
        with suppress(OSError):
            if not place.is_dir() or not self._lock(place):
                return 0
            for path in sorted(place.glob(f"*{SUFFIX}")):
                data = path.read_bytes()
                segment = _Segment(path, len(data), sum(batch.rows for batch in batches(data)))
                if not segment.rows:
                    path.unlink()
                    continue
                self._segments.append(segment)
                self.bytes += segment.size
                rows += segment.rows
            self._clean(place)
        return rows

    def _read(self, segment: _Segment) -> None:
        """Read a whole segment. One that is being written is sealed first: what comes goes into the next."""
        if segment is self._segments[-1]:
            self._seal()
        with suppress(OSError):
            self._waiting.extend(batches(segment.path.read_bytes()))
        self._reading = segment

    def _remove(self) -> None:
        """The first segment is done."""
        segment = self._segments.popleft()
        self._reading = None
        self.bytes -= segment.size
        self.rows -= segment.rows
        self.lost += segment.rows
        with suppress(OSError):
            segment.path.unlink()
        if segment.path.parent != self._own:
            self._clean(segment.path.parent)

    @staticmethod
    def _clean(place: Path) -> None:
        """Remove a sub-folder without segments."""
        with suppress(OSError):
            if not any(place.glob(f"*{SUFFIX}")):
                (place / LOCK).unlink()
                place.rmdir()

    def _open(self, more: int) -> int:
        """Give the file that is written, or a new one where it is full."""
        if self._writing is not None and self._segments[-1].size + more <= self._segment_bytes:
            return self._writing
        self._seal()
        place = self._place()
        self._number += 1
        path = place / f"{self._number:08d}{SUFFIX}"
        self._writing = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._segments.append(_Segment(path))
        return self._writing

    def _appended(self, file: int, data: bytes) -> bool:
        """Append all, or nothing: half a frame is taken back, and the segment ends there."""
        try:
            left = memoryview(data)
            while left:
                left = left[self._write(file, left) :]
        except OSError:
            with suppress(OSError):
                os.truncate(file, self._segments[-1].size)
            self._seal()
            return False
        return True

    def _place(self) -> Path:
        """The sub-folder of this process, made and locked at the first use."""
        if self._own is None:
            place = self._folder / uuid.uuid4().hex
            place.mkdir(mode=0o700, parents=True)
            if not self._lock(place):
                raise OSError("a folder that nobody knows is locked")
            self._own = place
        return self._own

    def _lock(self, place: Path) -> bool:
        """Try to become the one who may touch a sub-folder, until the process ends."""
        descriptor = os.open(place / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._locks.append(descriptor)
        return True

    def _seal(self) -> None:
        """Flush the segment that is written; what comes goes into a new one."""
        if self._writing is not None:
            with suppress(OSError):
                os.fsync(self._writing)
            os.close(self._writing)
            self._writing = None
