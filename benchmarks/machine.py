"""What the figures were measured on, and whether it had anything else to do."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import psutil

from everloop.local.jars import locked_jars

ROOT: Final = Path(__file__).parents[1]
LISTEN_S: Final = 1.0
UNKNOWN: Final = "unknown"


def describe(at: datetime) -> Mapping[str, object]:
    """The facts that a figure depends on. `memory_mb` in MiB; `cores` are those that this process may use."""
    return {
        "at": at.isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mb": psutil.virtual_memory().total >> 20,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "kafka": kafka_version(),
        "commit": commit(),
    }


def busy() -> float:
    """Percent of all cores that were in use during the last second: by others, while nothing of ours runs."""
    return psutil.cpu_percent(interval=LISTEN_S)


def cpu_model() -> str:
    """The processor's own name, where the system tells it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        lines = path.read_text("utf-8", "replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        return named[0] if named else platform.machine()
    return _said("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def kafka_version() -> str:
    """That of the broker which `everloop up` and every benchmark start."""
    return next((jar.version for jar in locked_jars() if jar.artifact.startswith("kafka_")), UNKNOWN)


def commit() -> str:
    """The commit that is checked out, with a `+` where files were changed since."""
    found = _said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    changed = _said("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    return f"{found}{'+' if changed else ''}" if found else UNKNOWN


def _said(*command: str) -> str:
    """What a command prints; nothing where it is not there or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
