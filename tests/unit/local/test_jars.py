"""The jars: only what has the right digest gets into the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from everloop.errors import UsageError
from everloop.local.jars import Jar, bad_jars, download_with_jgo, fetch, libraries, locked_jars, parse_lock

GOOD = b"a good jar"
JAR = Jar("org.example", "thing", "1.0", len(GOOD), hashlib.sha256(GOOD).hexdigest())


def a_source(*contents: bytes) -> Callable[[Jar, Path], Path]:
    """A repository that gives these contents, one per call."""
    remaining = iter(contents)

    def download(jar: Jar, scratch: Path) -> Path:
        path = scratch / jar.filename
        path.write_bytes(next(remaining))
        return path

    return download


def test_the_lock_names_kafka_and_a_log_binding_once_each() -> None:
    names = [jar.filename for jar in locked_jars()]
    assert {"kafka_2.13-4.3.1.jar", "kafka-clients-4.3.1.jar", "slf4j-simple-1.7.36.jar"} <= set(names)
    assert len(names) == len(set(names))
    assert all(len(jar.sha256) == 64 for jar in locked_jars())


@pytest.mark.parametrize("line", ["org:thing:1 12", "org:thing 12 abc", "org:thing:1 many abc"])
def test_a_malformed_lock_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        parse_lock(line)


def test_a_good_jar_is_kept(tmp_path: Path) -> None:
    fetch(JAR, tmp_path, a_source(GOOD))
    assert bad_jars(tmp_path, [JAR]) == []
    assert [path.name for path in tmp_path.iterdir()] == [JAR.filename]


def test_a_damaged_jar_is_fetched_once_more(tmp_path: Path) -> None:
    fetch(JAR, tmp_path, a_source(b"a goo", GOOD))
    assert (tmp_path / JAR.filename).read_bytes() == GOOD


def test_a_jar_that_is_wrong_twice_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"org\.example:thing:1\.0 was downloaded twice"):
        fetch(JAR, tmp_path, a_source(b"a bad jar!", b"a bad jar!", GOOD))
    assert list(tmp_path.iterdir()) == []


def test_damage_in_the_cache_is_seen(tmp_path: Path) -> None:
    (tmp_path / JAR.filename).write_bytes(b"a gOOd jar")
    assert bad_jars(tmp_path, [JAR]) == [JAR]


def test_without_a_network_the_fix_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=r"needs the network once.*--broker"):
        download_with_jgo(locked_jars()[0], tmp_path)


def test_another_lock_gets_another_directory(tmp_path: Path) -> None:
    assert libraries(tmp_path).parent == tmp_path / "jars"
