"""Is a process ready? One question per scheme of `ProcessSpec.ready`; each answers within two seconds."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from everloop.local.broker import answers

SECONDS = 2.0
OK = 200


def is_ready(address: str) -> bool:
    """Ask once. Raises `ValueError` for a scheme that is not known."""
    parts = urlsplit(address)
    match parts.scheme:
        case "":
            return True
        case "http":
            return says_ok(parts.hostname or "", parts.port or 80, parts.path or "/")
        case "kafka":
            return answers(parts.netloc, SECONDS)
    raise ValueError(f"cannot check {address}: ready is http://…, kafka://HOST:PORT or nothing")


def says_ok(host: str, port: int, path: str) -> bool:
    """Does a GET answer 200?"""
    connection = HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
