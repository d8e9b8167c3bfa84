"""Where bulk bytes lie: the folder of this machine, or any store that fsspec knows, named by one address.

What a store needs beside its address (endpoint, region, credentials) is fsspec's own configuration and that of its
implementation: `FSSPEC_S3_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, and so on. Everloop neither reads nor repeats it, and an
address with a user or a password in it is refused.
"""

from __future__ import annotations

import errno
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from everloop.artifacts import (
    LARGEST,
    Artifact,
    ArtifactStore,
    FolderStore,
    check_bytes,
    check_digest,
    check_size,
    missing,
    path_of,
    place_of,
)
from everloop.errors import FullError, InvalidError, StoreError, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._@=/-]+")
REFUSED: Final = frozenset({
    "asynclocal", "blockcache", "cached", "data", "dask", "dir", "filecache", "ftp", "generic", "git", "github", "gist",
    "http", "https", "libarchive", "memory_cache", "reference", "simplecache", "tar", "zip",
})  # fmt: skip
"""What only wraps another store, is for reading, or carries a password in its address."""
WHOLE: Final = frozenset({"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "oci", "oss", "r2", "s3", "s3a"})
"""Stores in which an object is there whole or not at all; in any other a file is written beside and then moved."""
PASSED_ON: Final = ("FSSPEC_", "AWS_", "AZURE_STORAGE_", "GOOGLE_", "GCS", "STORAGE_EMULATOR_HOST")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_PART: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_PLACE: Final = re.compile(
    rf"([a-z][a-z0-9-]{{0,31}})/(?:([0-9a-f]{{2}})/\2[0-9a-f]{{62}}|(?:{_PART}/)*{_PART}-[0-9a-f]{{16}}\.[a-z]+)"
)
"""What `place_of` gives."""


def open_store(address: str | None, folder: Path) -> ArtifactStore:
    """The store at an address that `check_address` has passed; without one the folder."""
    if address is None:
        return FolderStore(folder)
    return FolderStore(path_of(address)) if urlsplit(address).scheme == "file" else FsspecStore(address)


def check_address(address: str) -> str:
    """Give the address without its last slash. Raises `UsageError` that does not repeat it."""
    parts, plain = urlsplit(address), ADDRESS.fullmatch(address)
    if parts.username is not None and parts.scheme not in {"abfs", "abfss"}:
        raise UsageError("has a user or a password in it, which would stand in every event")
    if not plain or ".." in parts.path.split("/") or "//" in parts.path:
        raise UsageError("is no address of a store: PROTOCOL://PLACE, without query, spaces or `..`")
    if parts.scheme in REFUSED:
        raise UsageError("names no store that can be written to by itself")
    return address.rstrip("/")


def passed_on(address: str | None, environment: Mapping[str, str]) -> dict[str, str]:
    """What a job needs to open the same store: its address, and for one elsewhere what implementations read."""
    if address is None:
        return {}
    elsewhere = urlsplit(address).scheme != "file"
    found = {name: text for name, text in environment.items() if elsewhere and name.startswith(PASSED_ON)}
    return {**found, "EVERLOOP_STORE": address}


class FsspecStore:
    """Objects `<address>/<place_of>`, named like the files of a folder."""

    def __init__(self, address: str, *, largest: int = LARGEST) -> None:
        """Name the place; nothing is asked yet. `largest`: cap in bytes for either way.

        Raises `UsageError` where fsspec does not know the protocol, or its implementation is not installed.
        """
        self._root: Final = check_address(address)
        self._largest: Final = largest
        self._protocol: Final = urlsplit(address).scheme
        self._files: Final = _filesystem(self._protocol)

    def put(self, data: bytes, kind: str, name: str = "") -> Artifact:
        """Write whole or not at all. Raises `FullError` where there is no space, `StoreError` where none answers."""
        check_size(len(data), self._largest)
        digest = sha256(data).hexdigest()
        uri = f"{self._root}/{place_of(kind, digest, name)}"
        with self._speaking(uri, writing=True):
            if not self._holds(uri, digest):
                self._write(uri, data)
        return Artifact(uri=uri, sha256=digest, size=len(data))

    def fetch(self, uri: str, digest: str) -> bytes:
        """Read an object of this store and verify it."""
        check_digest(digest)
        self._check_uri(uri)
        with self._speaking(uri):
            check_size(int(self._files.info(uri)["size"]), self._largest)
            data = bytes(self._files.cat_file(uri))
        check_size(len(data), self._largest)
        check_bytes(data, digest)
        return data

    def remove(self, uri: str, kind: str) -> None:
        """Delete an object of this kind."""
        if self._check_uri(uri) != kind:
            raise InvalidError("bad_uri", f"{uri} is no artifact of the kind {kind}")
        with suppress(InvalidError), self._speaking(uri):
            self._files.rm_file(uri)

    def _write(self, uri: str, data: bytes) -> None:
        if self._protocol in WHOLE:
            self._files.pipe_file(uri, data)
            return
        beside = f"{uri.rpartition('/')[0]}/.part-{secrets.token_hex(8)}"
        try:
            self._files.makedirs(uri.rpartition("/")[0], exist_ok=True)
            self._files.pipe_file(beside, data)
            self._files.mv(beside, uri)
        except BaseException:
            with suppress(Exception):
                self._files.rm_file(beside)
            raise

    def _holds(self, uri: str, digest: str) -> bool:
        """Whether the very bytes lie there already; damaged ones are written anew."""
        if not self._files.exists(uri):
            return False
        return sha256(self._files.cat_file(uri)).hexdigest() == digest

    def _check_uri(self, uri: str) -> str:
        """The kind of an artifact of this store. Raises `InvalidError("bad_uri")` for anything else."""
        found = _PLACE.fullmatch(uri.removeprefix(f"{self._root}/")) if uri.startswith(f"{self._root}/") else None
        if found is None:
            raise InvalidError("bad_uri", f"{uri!r} is no artifact of the store {self._root}")
        return found[1]

    @contextmanager
    def _speaking(self, uri: str, *, writing: bool = False) -> Iterator[None]:
        """Say what went wrong without the words of the implementation, which may hold what is secret."""
        try:
            yield
        except InvalidError:
            raise
        except FileNotFoundError:
            if writing:
                raise StoreError(f"the store {self._root} is not there: make it, or name another one") from None
            raise missing(uri) from None
        except Exception as error:
            if getattr(error, "errno", None) in _FULL:
                raise FullError(f"no space left in {self._root}; free some, nothing was written") from error
            raise StoreError(f"the store {self._root} does not answer: {type(error).__name__}") from None


def _filesystem(protocol: str) -> AbstractFileSystem:
    import fsspec  # noqa: PLC0415 - only who has such a store pays for it

    try:
        return fsspec.filesystem(protocol, skip_instance_cache=True)
    except (ImportError, ValueError) as error:
        raise UsageError(f"no store {protocol}:// can be opened: install fsspec's package for it") from error
