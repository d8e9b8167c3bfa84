"""Looks for what keeps a stack from coming up, or from being right; names the command that mends it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from everloop.errors import EverloopError
from everloop.local.broker import answers, java
from everloop.local.jars import bad_jars, libraries, locked_jars
from everloop.local.paths import NEEDED_BYTES, free_bytes
from everloop.local.ports import is_free, owner
from everloop.local.state import read_stack, supervisor_pid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everloop.local.paths import Var

PYTHON = (3, 11)
SKEW_SECONDS = 2.0
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
SET_CLOCK = "sudo sntp -sS time.apple.com" if sys.platform == "darwin" else "sudo timedatectl set-ntp true"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and, where it is not well, the command that mends it."""

    check: str
    ok: bool
    found: str
    fix: str = ""


def examine(var: Var, cache: Path, ports: Mapping[str, int]) -> list[Finding]:
    """Make all checks. `ports` are those that a start without options would take."""
    return [
        check_python(sys.version_info[:2]),
        check_disk(var.root),
        check_writable(var.root),
        check_clock(time.time(), written_at(var.root)),
        check_java(),
        check_jars(cache),
        *check_stack(var, ports),
    ]


def check_python(found: tuple[int, int]) -> Finding:
    """Is this Python new enough?"""
    text = ".".join(map(str, found))
    return Finding(
        "python", found >= PYTHON, f"{text} on {platform.system()}", "install Python 3.11, then `make setup`"
    )


def check_disk(directory: Path) -> Finding:
    """Is there room for the broker's data?"""
    free = free_bytes(directory)
    return Finding("disk", free >= NEEDED_BYTES, f"{free >> 20} MB free", f"free {NEEDED_BYTES >> 20} MB, or --var DIR")


def check_writable(directory: Path) -> Finding:
    """May we write the state directory, or make it?"""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    ok = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    return Finding("state directory", ok, str(directory), "everloop up --var DIR")


def written_at(directory: Path) -> float | None:
    """When the file system says that a file was written which we have just written; None when it cannot be."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing) as file:
            return Path(file.name).stat().st_mtime
    except OSError:
        return None


def check_clock(now: float, written: float | None) -> Finding:
    """Windows close by the clock: it must not be long ago, nor differ from the disk's (epoch seconds)."""
    if now < LONG_AGO.timestamp():
        return Finding("clock", ok=False, found="before anything of this was made", fix=SET_CLOCK)
    skew = 0.0 if written is None else abs(now - written)
    return Finding("clock", skew <= SKEW_SECONDS, f"{skew:.1f} s from the disk's", SET_CLOCK)


def check_java() -> Finding:
    """Does the Java runtime run?"""
    try:
        done = subprocess.run([str(java()), "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (EverloopError, ImportError, OSError, subprocess.SubprocessError) as error:
        return Finding("java", ok=False, found=f"does not run ({type(error).__name__})", fix="make setup")
    return Finding("java", ok=True, found=done.stderr.splitlines()[0])


def check_jars(cache: Path) -> Finding:
    """Are all jars there, and right?"""
    jars = locked_jars()
    bad = bad_jars(libraries(cache), jars)
    found = f"{len(jars) - len(bad)} of {len(jars)} verified in {cache}"
    return Finding("kafka jars", not bad, found, "everloop up  (fetches them, 45 MB)")


def check_stack(var: Var, ports: Mapping[str, int]) -> list[Finding]:
    """Check the broker of a running stack; without one, the ports that it would take."""
    stack = read_stack(var)
    if stack and supervisor_pid(var) is not None:
        well = answers(stack.broker)
        return [Finding("broker", well, f"{stack.broker} {'answers' if well else 'is silent'}", "everloop logs broker")]
    taken = {name: port for name, port in ports.items() if not is_free(port)}
    text = ", ".join(f"{port} ({name}) by {owner(port) or 'another process'}" for name, port in taken.items())
    return [
        Finding("ports", not taken, f"in use: {text}" if taken else "all free", "everloop up --ports auto"),
        Finding("broker", ok=True, found="no stack is running here"),
    ]
