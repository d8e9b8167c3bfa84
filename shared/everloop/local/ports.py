"""TCP ports of this machine: which are free, who has one, and a wish for all of them at once."""

from __future__ import annotations

import random
import socket
from itertools import islice
from typing import TYPE_CHECKING

from everloop.errors import UsageError
from everloop.local.properties import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

LARGEST = 65_535
BELOW_EPHEMERAL = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Return `count` different ports that nobody had at the moment of asking.

    They lie below the range from which systems take the ports of outgoing connections: a client that keeps trying to
    reach a stopped server of that range can meet itself there, and then the server cannot come back. They are the first
    free ones from a random port on: two who ask at the same time seldom meet.
    """
    first, many = random.SystemRandom().randrange(len(BELOW_EPHEMERAL)), len(BELOW_EPHEMERAL)
    candidates = (BELOW_EPHEMERAL[(first + place) % many] for place in range(many))
    return list(islice((port for port in candidates if is_free(port)), count))


def is_free(port: int) -> bool:
    """Can a server listen on this loopback port now? A socket in TIME_WAIT does not count."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def owner(port: int) -> int | None:
    """Process id of the listener, where the system shows it to this user."""
    import psutil

    try:
        connections = psutil.net_connections("tcp")
    except (psutil.AccessDenied, OSError):  # macOS shows only root all of them
        return None
    found = (c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port)
    return next(found, None)


def require_free(ports: dict[str, int]) -> None:
    """Raise `UsageError` for the first port that is taken; `ports` maps the wish's name to the number."""
    for name, port in ports.items():
        if not is_free(port):
            raise UsageError(in_use(name, port))


def in_use(name: str, port: int) -> str:
    """One line: what wanted the port, who has it, what to do."""
    pid = owner(port)
    by = f" by process {pid}" if pid else ""
    return f"port {port} for {name} is in use{by}: stop that process, choose --port {name}=NUMBER, or use --ports auto"


def parse_assignments(texts: Sequence[str], option: str, known: Collection[str], limit: int) -> dict[str, int]:
    """Read `NAME=NUMBER` options. Raises `UsageError` on another form, name, or a number outside 1..limit."""
    found = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in known:
            raise UsageError(f"{option} {text}: no {name!r} in this stack; one of {', '.join(known)}")
        if not number.isdecimal() or not 1 <= int(number) <= limit:
            raise UsageError(f"{option} {text}: after {name}= comes a number from 1 to {limit}")
        found[name] = int(number)
    return found
