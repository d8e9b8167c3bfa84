"""The claim check: bulk bytes go to a store, an event carries URI and SHA-256, the reader verifies.

`FolderStore` is the local store. The digest is part of each name, so the same bytes are the same file and no writer can
disturb another. `MemoryStore` is the fake for tests.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from everloop.errors import FullError, InvalidError

LARGEST: Final = 1 << 30
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_NAME: Final = re.compile(r"[A-Za-z0-9._/-]+\.[a-z]+")
SHOWN: Final = 16
"""Digits of a digest in a name."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Artifact(BaseModel):
    """Where bytes lie and what they must be. `size` in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    uri: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class ArtifactStore(Protocol):
    """What services need of a store; object storage is another implementation."""

    def put(self, data: bytes, kind: str, name: str = "") -> Artifact:
        """Keep bytes; `name` as in `place_of`. The same again is harmless and gives the same artifact.

        Raises `FullError`.
        """
        ...

    def fetch(self, uri: str, digest: str) -> bytes:
        """Give the bytes. Raises `InvalidError`: `digest_mismatch`, `bad_uri`, `missing`, `too_large`."""
        ...

    def remove(self, uri: str, kind: str) -> None:
        """Delete what this store has put under `kind`, nothing else. Raises `InvalidError`: `bad_uri`.

        What is gone already is fine.
        """
        ...


class FolderStore:
    """Files `<root>/<place_of>` under one folder, directories 0700, files 0400.

    `readable` are further folders from which `file://` URIs of other stores are accepted.
    """

    def __init__(self, root: Path, *, readable: Sequence[Path] = (), largest: int = LARGEST) -> None:
        """Name the folder; nothing is made until the first `put`. `largest`: cap in bytes for either way."""
        self._root: Final = root.resolve()
        self._roots: Final = (self._root, *(folder.resolve() for folder in readable))
        self._largest: Final = largest

    def put(self, data: bytes, kind: str, name: str = "") -> Artifact:
        """Write atomically: another reader sees the whole file or none. Raises `FullError` when the disk is full."""
        check_size(len(data), self._largest)
        digest = sha256(data).hexdigest()
        path = self._root / place_of(kind, digest, name)
        if not _holds(path, digest, self._largest):
            self._write(path, data)
        return Artifact(uri=f"file://{quote(str(path))}", sha256=digest, size=len(data))

    def fetch(self, uri: str, digest: str) -> bytes:
        """Read a file under an allowed folder and verify it."""
        check_digest(digest)
        data = _read(self._beneath(path_of(uri)), self._largest)
        check_bytes(data, digest)
        return data

    def remove(self, uri: str, kind: str) -> None:
        """Unlink a file of this kind under the root itself, never one of a folder that is only readable."""
        check_kind(kind)
        path = path_of(uri)
        if path == self._root / kind or not path.is_relative_to(self._root / kind):
            raise InvalidError("bad_uri", f"{path} is not under {self._root / kind}, where this service may delete")
        with suppress(FileNotFoundError):
            _unlink_beneath(self._root, path.relative_to(self._root))

    def _write(self, path: Path, data: bytes) -> None:
        """Write or leave nothing behind."""
        try:
            _make_private(path.parent, self._root)
            write_atomically(path, data)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            message = f"no space left for {len(data)} bytes under {self._root}; free some, nothing was written"
            raise FullError(message) from error

    def _beneath(self, path: Path) -> tuple[Path, Path]:
        """Split a path into the allowed folder and what lies beneath it."""
        for root in self._roots:
            if path != root and path.is_relative_to(root):
                return root, path.relative_to(root)
        message = f"{path} is not under a folder that this service reads; allowed: {', '.join(map(str, self._roots))}"
        raise InvalidError("bad_uri", message)


class MemoryStore:
    """The store of the tests and of the simulator."""

    def __init__(self) -> None:
        """Start empty."""
        self.kept: Final[dict[str, bytes]] = {}

    def put(self, data: bytes, kind: str, name: str = "") -> Artifact:
        """Keep bytes under `memory://<place_of>`."""
        digest = sha256(data).hexdigest()
        uri = f"memory://{place_of(kind, digest, name)}"
        self.kept[uri] = data
        return Artifact(uri=uri, sha256=digest, size=len(data))

    def fetch(self, uri: str, digest: str) -> bytes:
        """Give the bytes, verified like those of a folder."""
        check_digest(digest)
        if uri not in self.kept:
            raise missing(uri)
        check_bytes(self.kept[uri], digest)
        return self.kept[uri]

    def remove(self, uri: str, kind: str) -> None:
        """Forget the bytes."""
        if not uri.startswith(f"memory://{kind}/"):
            raise InvalidError("bad_uri", f"{uri} is no artifact of the kind {kind}")
        self.kept.pop(uri, None)


def place_of(kind: str, digest: str, name: str = "") -> str:
    """Where bytes of this digest lie in a store: `<kind>/<first two of the digest>/<digest>`.

    Where they have a `name` (a relative path with a suffix) it is `<kind>/<name>`, with the first `SHOWN` digits of the
    digest before the suffix. Raises `ValueError` for what is no kind or no name.
    """
    check_kind(kind)
    if not name:
        return f"{kind}/{digest[:2]}/{digest}"
    if not _NAME.fullmatch(name) or any(part in {"", ".", ".."} for part in name.split("/")):
        message = f"{name!r} is no name of an artifact: letters, digits, dots, dashes, `_`, `/`, and a suffix"
        raise ValueError(message)
    stem, _, suffix = name.rpartition(".")
    return f"{kind}/{stem}-{digest[:SHOWN]}.{suffix}"


def path_of(uri: str) -> Path:
    """Give the path of a `file://` URI. Raises `InvalidError("bad_uri")` for another form, a host, `..` or NUL."""
    parts = urlsplit(uri)
    path = unquote(parts.path)
    plain = parts.scheme == "file" and not (parts.netloc or parts.query or parts.fragment)
    if not plain or not path.startswith("/") or "\x00" in path or ".." in path.split("/"):
        message = f"{uri!r} is no artifact; only absolute file:// addresses without `..` are read"
        raise InvalidError("bad_uri", message)
    return Path(path)


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside, flush to the disk, rename, flush the folder. On any error no file is left."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o400)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_private(folder: Path, root: Path) -> None:
    """Make the folders from the root down, for their owner only (`mkdir(parents=True)` would use the umask)."""
    if folder != root:
        _make_private(folder.parent, root)
    folder.mkdir(mode=0o700, parents=folder == root, exist_ok=True)


def _read(place: tuple[Path, Path], largest: int) -> bytes:
    """Read a regular file beneath a folder; no symlink is followed on the way."""
    root, rest = place
    try:
        descriptor = _open_beneath(root, rest)
    except FileNotFoundError as error:
        raise missing(str(root / rest)) from error
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
            raise
        raise _not_a_file(root / rest) from error
    try:
        return _read_regular(descriptor, root / rest, largest)
    finally:
        os.close(descriptor)


def _read_regular(descriptor: int, path: Path, largest: int) -> bytes:
    """Judge the opened file itself, so that nothing can be put in its place in between."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise _not_a_file(path)
    check_size(status.st_size, largest)
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(largest + 1)


def _open_beneath(root: Path, rest: Path) -> int:
    """Open by the folder's descriptor, no link followed; O_NONBLOCK, so that no pipe hangs us."""
    folder = _open_folder(root, rest)
    try:
        return os.open(rest.parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)


def _unlink_beneath(root: Path, rest: Path) -> None:
    """Delete by the folder's descriptor, so that no link on the way leads elsewhere."""
    folder = _open_folder(root, rest)
    try:
        os.unlink(rest.parts[-1], dir_fd=folder)
    finally:
        os.close(folder)


def _open_folder(root: Path, rest: Path) -> int:
    """Open the folder of a file part by part, each by the descriptor of the one above it."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in rest.parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
    except OSError:
        os.close(folder)
        raise
    return folder


def _holds(path: Path, digest: str, largest: int) -> bool:
    """Say whether the very bytes lie there already; a damaged file is written anew."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > largest:
        return False
    return sha256(path.read_bytes()).hexdigest() == digest


def check_kind(kind: str) -> None:
    """Raise `ValueError` for what is no kind."""
    if not _KIND.fullmatch(kind):
        message = f"{kind!r} is no kind of artifact; use lower-case letters, digits and dashes, such as `model`"
        raise ValueError(message)


def check_digest(digest: str) -> None:
    """Raise `InvalidError` for what is no SHA-256."""
    if not _SHA256.fullmatch(digest):
        message = "a digest is 64 lower-case hexadecimal digits (SHA-256)"
        raise InvalidError("digest_mismatch", message)


def check_size(size: int, largest: int) -> None:
    """Raise `InvalidError` for more bytes than are allowed."""
    if size > largest:
        message = f"the artifact has {size} bytes, more than the limit of {largest}"
        raise InvalidError("too_large", message)


def check_bytes(data: bytes, digest: str) -> None:
    """Raise `InvalidError` for other bytes than the digest's."""
    found = sha256(data).hexdigest()
    if found != digest:
        message = f"the bytes have digest {found[:12]}…, the event says {digest[:12]}…: damaged or swapped, not used"
        raise InvalidError("digest_mismatch", message)


def missing(uri: str) -> InvalidError:
    """What is said of an artifact that is not there."""
    return InvalidError("missing", f"{uri}: there is no such artifact; was it removed, or is the store another one?")


def _not_a_file(path: Path) -> InvalidError:
    return InvalidError("bad_uri", f"{path} is not a plain file; symbolic links and folders are not followed")
