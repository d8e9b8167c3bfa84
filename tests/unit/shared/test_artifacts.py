"""What a store gives back is what was put, or nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from everloop.artifacts import Artifact, ArtifactStore, FolderStore, MemoryStore, path_of
from everloop.errors import FullError, InvalidError

DATA = b"the weights of a model"
DIGEST = sha256(DATA).hexdigest()


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return FolderStore(tmp_path / "store") if request.param == "folder" else MemoryStore()


def _refused(store: ArtifactStore, uri: str, digest: str = DIGEST) -> str:
    with pytest.raises(InvalidError) as refusal:
        store.fetch(uri, digest)
    return refusal.value.reason


def test_what_was_put_comes_back(store: ArtifactStore) -> None:
    kept = store.put(DATA, "model")
    assert (kept.sha256, kept.size) == (DIGEST, len(DATA))
    assert store.fetch(kept.uri, kept.sha256) == DATA
    assert store.put(DATA, "model") == kept


def test_a_name_is_where_the_bytes_lie_with_their_digest_in_it(store: ArtifactStore) -> None:
    kept, other = (store.put(data, "archive", "predictions.fraud/3/1-2.parquet") for data in (DATA, b"others"))
    assert kept.uri.endswith(f"/archive/predictions.fraud/3/1-2-{DIGEST[:16]}.parquet")
    assert store.fetch(kept.uri, DIGEST) == DATA
    assert store.fetch(other.uri, other.sha256) == b"others"
    assert store.put(DATA, "archive", "predictions.fraud/3/1-2.parquet") == kept
    store.remove(kept.uri, "archive")
    assert _refused(store, kept.uri) == "missing"


@pytest.mark.parametrize(
    "name", ["../secret.parquet", "a/./b.parquet", "/etc/x.parquet", "a//b.parquet", "a b.x", "plain"]
)
def test_what_is_no_name_is_refused(store: ArtifactStore, name: str) -> None:
    with pytest.raises(ValueError, match="no name of an artifact"):
        store.put(DATA, "archive", name)


def test_another_digest_is_refused(store: ArtifactStore) -> None:
    kept = store.put(DATA, "model")
    assert _refused(store, kept.uri, "0" * 64) == "digest_mismatch"
    assert _refused(store, kept.uri, "") == "digest_mismatch"


def test_what_is_not_there_is_missing(store: ArtifactStore) -> None:
    kept = store.put(DATA, "model")
    gone = sha256(b"gone").hexdigest()
    assert _refused(store, kept.uri.replace(DIGEST, gone), gone) == "missing"


def test_what_is_removed_is_gone_and_may_be_removed_again(store: ArtifactStore) -> None:
    kept = store.put(DATA, "archive")
    for _ in range(2):
        store.remove(kept.uri, "archive")
    assert _refused(store, kept.uri) == "missing"


@pytest.mark.parametrize("kind", ["model", "arch", "archive-2"])
def test_nothing_of_another_kind_is_removed(store: ArtifactStore, kind: str) -> None:
    kept = store.put(DATA, kind)
    with pytest.raises(InvalidError) as refusal:
        store.remove(kept.uri, "archive")
    assert refusal.value.reason == "bad_uri"
    assert store.fetch(kept.uri, DIGEST) == DATA


def test_a_kind_is_a_plain_word(store: ArtifactStore) -> None:
    with pytest.raises(ValueError, match="no kind of artifact"):
        store.put(DATA, "../up")


@pytest.fixture
def kept(tmp_path: Path) -> Artifact:
    return FolderStore(tmp_path / "store").put(DATA, "model")


def _damage(change: Callable[[bytes], bytes], path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [lambda d: d[:-1], lambda d: bytes([d[0] ^ 1]) + d[1:], lambda _: b"", lambda d: d + b"\x00", lambda _: b"swapped"],
)
def test_damaged_files_are_refused_and_mended_by_the_next_put(
    tmp_path: Path, kept: Artifact, change: Callable[[bytes], bytes]
) -> None:
    store = FolderStore(tmp_path / "store")
    _damage(change, path_of(kept.uri))
    assert _refused(store, kept.uri) == "digest_mismatch"
    store.put(DATA, "model")
    assert store.fetch(kept.uri, DIGEST) == DATA


def test_a_symbolic_link_is_never_followed(tmp_path: Path, kept: Artifact) -> None:
    store, secret = FolderStore(tmp_path / "store"), tmp_path / "secret"
    secret.write_bytes(DATA)
    path = path_of(kept.uri)
    path.unlink()
    path.symlink_to(secret)
    assert _refused(store, kept.uri) == "bad_uri"
    (tmp_path / "store" / "link").symlink_to(tmp_path)
    assert _refused(store, f"file://{tmp_path}/store/link/secret") == "bad_uri"


def test_a_folder_or_a_pipe_is_no_artifact(tmp_path: Path, kept: Artifact) -> None:
    store = FolderStore(tmp_path / "store")
    os.mkfifo(tmp_path / "store" / "pipe")
    assert _refused(store, f"file://{tmp_path}/store/pipe") == "bad_uri"
    assert _refused(store, f"file://{path_of(kept.uri).parent}") == "bad_uri"


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/hostname",
        "file://{root}/../secret",
        "file://{root}/%2e%2e/secret",
        "file://{root}/a%00b",
        "file://host{root}/model",
        "http://{root}/model",
        "{root}/model",
        "file:model",
        "file://{root}",
        "file://{root}/model?x=1",
        "",
    ],
)
def test_addresses_outside_are_refused(tmp_path: Path, uri: str) -> None:
    (tmp_path / "secret").write_bytes(DATA)
    root = tmp_path / "store"
    root.mkdir()
    assert _refused(FolderStore(root), uri.format(root=root)) == "bad_uri"


def test_other_folders_are_read_when_they_are_named(tmp_path: Path, kept: Artifact) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert _refused(FolderStore(elsewhere), kept.uri) == "bad_uri"
    assert FolderStore(elsewhere, readable=[tmp_path / "store"]).fetch(kept.uri, DIGEST) == DATA


def test_size_is_capped_both_ways(tmp_path: Path, kept: Artifact) -> None:
    small = FolderStore(tmp_path / "store", largest=4)
    assert _refused(small, kept.uri) == "too_large"
    with pytest.raises(InvalidError, match="more than the limit"):
        small.put(DATA, "model")


def test_folders_and_files_are_for_their_owner(tmp_path: Path, kept: Artifact) -> None:
    path = path_of(kept.uri)
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    for folder in (path.parent, path.parent.parent, tmp_path / "store"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_names_with_odd_letters_survive_the_address(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "a b#c%20é?")
    kept = store.put(DATA, "model")
    assert store.fetch(kept.uri, DIGEST) == DATA


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("everloop.artifacts.os.fsync", refuse)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_said_clearly_and_leaves_no_half_file(tmp_path: Path) -> None:
    with pytest.raises(FullError, match="no space left for 22 bytes"):
        FolderStore(tmp_path / "store").put(DATA, "model")
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_nothing_is_removed_elsewhere_or_through_a_link(tmp_path: Path) -> None:
    readable, mine = FolderStore(tmp_path / "other"), FolderStore(tmp_path / "store", readable=[tmp_path / "other"])
    kept = readable.put(DATA, "archive")
    mine.put(DATA, "model")
    (tmp_path / "store" / "archive").mkdir()
    (tmp_path / "store" / "archive" / DIGEST[:2]).symlink_to(path_of(kept.uri).parent)
    for uri in (kept.uri, f"file://{tmp_path}/store/archive", f"file://{tmp_path}/store/archive/../model/x"):
        with pytest.raises(InvalidError):
            mine.remove(uri, "archive")
    with pytest.raises(OSError, match=DIGEST[:2]):
        mine.remove(f"file://{tmp_path}/store/archive/{DIGEST[:2]}/{DIGEST}", "archive")
    assert readable.fetch(kept.uri, DIGEST) == DATA
