"""Ending processes with all their children: each supervised process leads its own group."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from everloop.local.state import Stack


def end_group(leader: int, with_signal: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal to a whole group; False when nobody is left in it."""
    try:
        os.killpg(leader, with_signal)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return False
    return True


def created(pid: int) -> float | None:
    """Say when a process was started (epoch seconds), None when it has ended: its pid may be another's by now."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def orphans(stack: Stack) -> list[int]:
    """Groups of an earlier supervisor that was killed, still running."""
    return [p.pid for p in stack.processes if p.pid and p.created and created(p.pid) == p.created]


def end_orphans(stack: Stack) -> list[int]:
    """Kill what a killed supervisor left behind; what was ended."""
    return [pid for pid in orphans(stack) if end_group(pid)]
