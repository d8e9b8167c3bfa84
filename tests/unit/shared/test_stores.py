"""Any store that fsspec knows, as the folder is: the same bytes by the same rules, and no secret in what is said."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
import s3fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from moto.server import ThreadedMotoServer

from everloop.artifacts import FolderStore
from everloop.errors import FullError, InvalidError, StoreError, UsageError
from everloop.settings import ServiceSettings
from everloop.stores import FsspecStore, check_address, open_store, passed_on

DATA = b"rows of an archive"
DIGEST = sha256(DATA).hexdigest()
SECRET = "hunter2"


class Elsewhere(LocalFileSystem):  # type: ignore[misc]  # published without types
    """A file system that is no object store: what is written is there in part until it is whole."""

    protocol = ("elsewhere",)
    broken: type[Exception] | None = None
    full = False

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:  # noqa: ANN401 -- its signature
        return str(path).removeprefix("elsewhere:/")

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **more: Any) -> None:  # noqa: ANN401 -- as above
        if self.broken:
            raise self.broken(f"denied for {SECRET}")
        if self.full:
            super().pipe_file(path, value[:3], mode, **more)
            raise OSError(errno.ENOSPC, "no space")
        super().pipe_file(path, value, mode, **more)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    fsspec.register_implementation("elsewhere", Elsewhere, clobber=True)
    MemoryFileSystem.store.clear()
    yield
    MemoryFileSystem.store.clear()
    Elsewhere.broken, Elsewhere.full = None, False


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 of its own, with a bucket; configured as a user does it, by the variables of fsspec and of AWS."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"ENDPOINT_URL": url, "KEY": "everloop", "SECRET": SECRET}.items():
            patch.setitem(fsspec.config.conf.setdefault("s3", {}), name.lower(), value)
        s3fs.S3FileSystem.clear_instance_cache()
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(params=["memory", "elsewhere", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "memory":
            return "memory://bucket/place"
        case "elsewhere":
            return f"elsewhere://{tmp_path}/store"
    return f"{request.getfixturevalue('s3')}/{uuid4()}"


def refused(store: FsspecStore, uri: str, digest: str = DIGEST) -> str:
    with pytest.raises(InvalidError) as refusal:
        store.fetch(uri, digest)
    return refusal.value.reason


def test_what_was_put_comes_back_also_in_another_process(address: str) -> None:
    store = FsspecStore(address)
    kept = store.put(DATA, "archive")
    assert (kept, store.put(DATA, "archive").size) == (store.put(DATA, "archive"), len(DATA))
    assert kept.uri == f"{address}/archive/{DIGEST[:2]}/{DIGEST}"
    assert FsspecStore(address + "/").fetch(kept.uri, DIGEST) == DATA


def test_what_has_a_name_lies_there(address: str) -> None:
    store = FsspecStore(address)
    kept = store.put(DATA, "archive", "predictions.fraud/3/1-2.parquet")
    assert kept.uri == f"{address}/archive/predictions.fraud/3/1-2-{DIGEST[:16]}.parquet"
    assert store.fetch(kept.uri, DIGEST) == DATA
    store.remove(kept.uri, "archive")
    assert refused(store, kept.uri) == "missing"


def test_other_bytes_are_refused_and_written_anew(address: str) -> None:
    store = FsspecStore(address)
    kept = store.put(DATA, "archive")
    store._files.pipe_file(kept.uri, b"rubbish")  # noqa: SLF001 -- what somebody else has done to the store
    assert refused(store, kept.uri) == "digest_mismatch"
    store.put(DATA, "archive")
    assert store.fetch(kept.uri, DIGEST) == DATA


def test_what_is_not_there_is_missing_and_may_be_removed(address: str) -> None:
    store = FsspecStore(address)
    kept = store.put(DATA, "archive")
    for _ in range(2):
        store.remove(kept.uri, "archive")
    assert refused(store, kept.uri) == "missing"


def test_nothing_of_another_kind_is_removed(address: str) -> None:
    store = FsspecStore(address)
    kept = store.put(DATA, "model")
    with pytest.raises(InvalidError, match="no artifact of the kind archive"):
        store.remove(kept.uri, "archive")
    assert store.fetch(kept.uri, DIGEST) == DATA


@pytest.mark.parametrize(
    "uri",
    [
        "{address}/archive/../model/{digest}", "{address}/archive/{two}/{digest}/..", "{address}/archive/zz/{digest}",
        "{address}x/archive/{two}/{digest}", "file:///etc/passwd", "s3://other/archive/{two}/{digest}", "{address}/",
        "simplecache::{address}/archive/{two}/{digest}", "http://127.0.0.1/{two}/{digest}", "/etc/passwd", "",
        "{address}/archive/{two}/{digest}?versionId=1", "{address}//archive/{two}/{digest}",
    ],
)  # fmt: skip
def test_no_other_place_is_read_or_deleted(address: str, uri: str) -> None:
    store = FsspecStore(address)
    store.put(DATA, "archive")
    named = uri.format(address=address, two=DIGEST[:2], digest=DIGEST)
    assert refused(store, named) == "bad_uri"
    with pytest.raises(InvalidError):
        store.remove(named, "archive")


def test_sizes_are_capped_either_way(address: str) -> None:
    with pytest.raises(InvalidError, match="more than the limit"):
        FsspecStore(address, largest=4).put(DATA, "archive")
    kept = FsspecStore(address).put(DATA, "archive")
    assert refused(FsspecStore(address, largest=4), kept.uri) == "too_large"


def test_a_full_store_keeps_nothing_in_part_and_says_so(tmp_path: Path) -> None:
    store = FsspecStore(f"elsewhere://{tmp_path}/store")
    Elsewhere.full = True
    with pytest.raises(FullError, match="no space left in elsewhere:"):
        store.put(DATA, "archive")
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    Elsewhere.full = False
    assert store.fetch(store.put(DATA, "archive").uri, DIGEST) == DATA


@pytest.mark.parametrize("error", [PermissionError, RuntimeError, TimeoutError])
def test_what_an_implementation_says_is_not_repeated(tmp_path: Path, error: type[Exception]) -> None:
    store = FsspecStore(f"elsewhere://{tmp_path}/store")
    Elsewhere.broken = error
    with pytest.raises(StoreError, match=error.__name__) as failure:
        store.put(DATA, "archive")
    assert SECRET not in str(failure.value)
    assert failure.value.__suppress_context__


def test_a_bucket_that_is_not_there_is_no_missing_artifact(s3: str) -> None:
    with pytest.raises(StoreError, match="make it, or name another") as failure:
        FsspecStore(s3.replace("bucket", "nosuch")).put(DATA, "archive")
    assert SECRET not in str(failure.value)


def test_a_place_that_is_not_there_is_no_missing_artifact(tmp_path: Path) -> None:
    store = FsspecStore(f"elsewhere://{tmp_path}/store")
    Elsewhere.broken = FileNotFoundError
    with pytest.raises(StoreError, match="make it, or name another"):
        store.put(DATA, "archive")


@pytest.mark.parametrize(
    "address",
    [
        f"s3://user:{SECRET}@bucket/x", f"s3://bucket/x?key={SECRET}", "s3://bucket/../x", "bucket/x", "s3://", "",
        "simplecache::s3://bucket/x", "http://host/x", "https://host/x", "github://a:b@c/", "s3://bucket//x",
        "zip://x", f"ftp://{SECRET}/x", "s3://bucket/a b", "reference://x",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_without_being_repeated(address: str) -> None:
    with pytest.raises(UsageError) as refusal:
        check_address(address)
    assert SECRET not in str(refusal.value)
    if address:
        with pytest.raises(UsageError, match="EVERLOOP_STORE") as told:
            ServiceSettings.from_environment({"EVERLOOP_STORE": address})
        assert SECRET not in str(told.value)


@pytest.mark.parametrize("address", ["s3://bucket", "s3://bucket/a/b/", "abfs://box@account.example/x", "gs://b-1/x_y"])
def test_addresses(address: str) -> None:
    assert check_address(address) == address.rstrip("/")


def test_a_protocol_that_is_not_installed_is_said() -> None:
    with pytest.raises(UsageError, match="install fsspec's package"):
        FsspecStore("nosuch://bucket")


def test_settings_name_the_store(tmp_path: Path) -> None:
    assert isinstance(ServiceSettings(var=tmp_path).open_store(), FolderStore)
    named = ServiceSettings(var=tmp_path, store=f"file://{tmp_path}/other")
    assert named.open_store().put(DATA, "archive").uri.startswith(f"file://{tmp_path}/other/archive/")
    assert isinstance(open_store("memory://x", tmp_path), FsspecStore)


def test_a_job_is_told_of_credentials_only_where_the_store_needs_them(tmp_path: Path) -> None:
    environment = {"AWS_SECRET_ACCESS_KEY": SECRET, "FSSPEC_S3_ENDPOINT_URL": "x", "EVERLOOP_KEY": "k", "PATH": "p"}
    assert passed_on(None, environment) == {}
    assert passed_on("file:///x", environment) == {"EVERLOOP_STORE": "file:///x"}
    assert set(passed_on("s3://x", environment)) == {
        "AWS_SECRET_ACCESS_KEY", "FSSPEC_S3_ENDPOINT_URL", "EVERLOOP_STORE",
    }  # fmt: skip
    assert set(ServiceSettings(var=tmp_path).for_jobs(environment)) == {"EVERLOOP_VAR"}
