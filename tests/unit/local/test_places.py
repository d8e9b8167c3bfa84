"""Paths, disk space, ports, keys and logs."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from everloop.errors import UsageError
from everloop.local.files import write_atomically
from everloop.local.keys import ensure_keys
from everloop.local.logs import follow, rotate, tail
from everloop.local.paths import Var, cache_directory, explain, free_bytes, require_space, var_directory
from everloop.local.ports import free_ports, is_free, parse_assignments, require_free
from everloop.signing import load_private, load_public


@contextmanager
def a_listener() -> Iterator[int]:
    with socket.socket() as sock:
        (port,) = free_ports(1)
        sock.bind(("127.0.0.1", port))
        sock.listen()
        yield port


def test_the_cache_is_where_the_person_or_the_platform_says(tmp_path: Path) -> None:
    assert cache_directory({"EVERLOOP_CACHE": str(tmp_path)}) == tmp_path
    assert cache_directory({}).name == "everloop"


def test_an_option_wins_over_the_environment(tmp_path: Path) -> None:
    environ = {"EVERLOOP_VAR": str(tmp_path / "a")}
    assert var_directory(environ, tmp_path / "b") == tmp_path / "b"
    assert var_directory(environ) == tmp_path / "a"
    assert var_directory({}) == Path.cwd() / "var"


def test_a_nearly_full_disk_is_refused_with_the_figures(tmp_path: Path) -> None:
    require_space(tmp_path, needed=1)
    with pytest.raises(UsageError, match=r"MB free, \d+ MB are needed: free some space"):
        require_space(tmp_path / "not" / "yet", needed=free_bytes(tmp_path) * 2)


def test_a_full_disk_is_one_line_with_the_fix(tmp_path: Path) -> None:
    assert "no space left" in explain(OSError(errno.ENOSPC, "No space left on device"), tmp_path)
    assert "--var DIR" in explain(PermissionError(errno.EACCES, "Permission denied"), tmp_path)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    with pytest.raises(UsageError, match="choose another place with --var DIR"):
        Var(tmp_path / "var").make()


def test_a_broken_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)


def test_a_port_in_use_names_the_port_its_owner_and_the_fix() -> None:
    with a_listener() as port:
        with pytest.raises(UsageError) as refused:
            require_free({"mlflow": port})
        said = str(refused.value)
        assert f"port {port} for mlflow is in use" in said
        assert f"by process {os.getpid()}" in said or "by process" not in said
        assert "--port mlflow=NUMBER, or use --ports auto" in said


@pytest.mark.parametrize("text", ["mlflow", "mlflow=", "mlflow=0", "mlflow=-1", "mlflow=x", "mlflow=70000", "other=1"])
def test_a_wish_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--port"):
        parse_assignments([text], "--port", ("mlflow",), 65_535)


def test_wishes_by_name() -> None:
    assert parse_assignments(["a=1", "b=2"], "--port", ("a", "b"), 9) == {"a": 1, "b": 2}


def test_keys_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    private, public = ensure_keys(tmp_path)
    first = private.read_bytes()
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert load_public(public).id == load_private(private).public.id
    assert ensure_keys(tmp_path) == (private, public)
    assert private.read_bytes() == first


def test_a_lost_public_key_is_made_again(tmp_path: Path) -> None:
    private, public = ensure_keys(tmp_path)
    public.unlink()
    ensure_keys(tmp_path)
    assert load_public(public).id == load_private(private).public.id


def test_a_private_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    private, _ = ensure_keys(tmp_path)
    private.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        ensure_keys(tmp_path)


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    assert tail(path, 3) == []
    path.write_bytes(b"1\n2\n\xff3\n4")
    assert tail(path, 2) == ["\N{REPLACEMENT CHARACTER}3", "4"]


def test_a_large_log_is_moved_and_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"x" * 20)
        assert not rotate(path, largest=20)
        assert rotate(path, largest=19)
        writer.write(b"new")
    assert path.read_bytes() == b"new"
    assert (tmp_path / "a.log.1").read_bytes() == b"x" * 20


def test_following_goes_on_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("old old old")
    contents = iter(["old old old new", "cut"])
    text = follow(path, lambda: path.write_text(next(contents)))
    assert [next(text), next(text)] == [" new", "cut"]
