"""Who may pass: the role that a route asks for, the token that a request shows, and a back-off for wrong ones."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hmac import compare_digest
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final

from everloop.settings import is_loopback
from everloop.tokens import ROUTES, Access, Tokens, digest

LONGEST_TOKEN: Final = 512
FREE_FAILURES: Final = 5
LONGEST_WAIT_S: Final = 60.0
FORGET_S: Final = 300.0
MOST_PEERS: Final = 1_024
MOST_PROVEN: Final = 8
_PATTERNS: Final = tuple(
    (method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), access) for (method, path), access in ROUTES.items()
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request may not pass."""

    status: int
    rule: str
    fix: str
    headers: dict[str, str] = field(default_factory=dict)


def access_of(method: str, path: str) -> Access | None:
    """Say what a request needs; None for one that no route is declared for."""
    return next((access for known, form, access in _PATTERNS if known == method and form.fullmatch(path)), None)


@dataclass(slots=True)
class _Peer:
    failures: int = 0
    until: float = 0.0
    proven: tuple[str, ...] = ()


class BackOff:
    """Waits for peers that show wrong tokens: five are free, then 1, 2, 4 to 60 s; forgotten after five quiet minutes.

    A token that a peer has shown rightly is looked at meanwhile: one bad client must not lock out the others behind
    the same address. At most 1,024 peers are known, the least recent one is forgotten first.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """`monotonic` in seconds."""
        self.monotonic: Final = monotonic
        self.peers: Final[OrderedDict[str, _Peer]] = OrderedDict()

    def wait_s(self, peer: str, hashed: str) -> float:
        """Say how long this token of this peer is not looked at; 0 when it is."""
        found = self.peers.get(_network(peer))
        if found is None or any(compare_digest(hashed, one) for one in found.proven):
            return 0.0
        return max(0.0, found.until - self.monotonic())

    def failed(self, peer: str) -> None:
        """A wrong token was shown."""
        found, now = self._known(peer), self.monotonic()
        found.failures = 1 if found.failures and now - found.until > FORGET_S else found.failures + 1
        over = found.failures - FREE_FAILURES
        found.until = now + (min(LONGEST_WAIT_S, 2.0 ** min(over - 1, 10)) if over > 0 else 0.0)

    def passed(self, peer: str, hashed: str) -> None:
        """A right token was shown."""
        found = self._known(peer)
        if hashed not in found.proven:
            found.proven = (*found.proven, hashed)[-MOST_PROVEN:]

    def _known(self, peer: str) -> _Peer:
        name = _network(peer)
        found = self.peers.setdefault(name, _Peer())
        self.peers.move_to_end(name)
        if len(self.peers) > MOST_PEERS:
            self.peers.popitem(last=False)
        return found


class Guard:
    """Judges requests by their tokens."""

    def __init__(self, tokens: Tokens, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` in seconds, for the back-off."""
        self.tokens: Final = tokens
        self.back_off: Final = BackOff(monotonic)

    def refusal(self, method: str, path: str, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> Refusal | None:
        """Say why a request may not pass; None when it may. `peer` is the address at the other end, as text."""
        access = access_of(method, path)
        if access == "public" and is_loopback(peer):
            return None
        token = _bearer(headers)
        if token is None:
            return _unknown("send the header Authorization: Bearer TOKEN")
        return self._judged("admin" if access == "public" else access, peer, digest(token))

    def _judged(self, wanted: Access | None, peer: str, hashed: str) -> Refusal | None:
        self.tokens.refresh()
        if self.tokens.wrong:
            return Refusal(503, "tokens", "the service cannot read its tokens; try again later", {"Retry-After": "5"})
        if wait := self.back_off.wait_s(peer, hashed):
            return Refusal(429, "back_off", "too many wrong tokens; wait", {"Retry-After": str(ceil(wait))})
        role = self.tokens.role_of(hashed)
        if role is None:
            self.back_off.failed(peer)
            return _unknown("this token is not valid; it may have been replaced")
        self.back_off.passed(peer, hashed)
        if wanted is None:
            return Refusal(404, "route", "there is no such route and method; docs/security.md lists all")
        return None if role == wanted else Refusal(403, "role", f"this needs a token of the role {wanted}")


def _unknown(fix: str) -> Refusal:
    return Refusal(401, "token", fix, {"WWW-Authenticate": "Bearer"})


def _bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Give the token that a request shows: one header of one form, or none at all."""
    shown = [value for name, value in headers if name.lower() == b"authorization"]
    scheme, _, token = shown[0].partition(b" ") if len(shown) == 1 else (b"", b"", b"")
    if scheme.lower() != b"bearer" or not 0 < len(token) <= LONGEST_TOKEN or not token.isascii():
        return None
    return token.decode("ascii")


def _network(peer: str) -> str:
    """Whoever has one IPv6 address has the whole /64."""
    try:
        address = ip_address(peer)
    except ValueError:
        return peer
    if not isinstance(address, IPv6Address):
        return peer
    return str(address.ipv4_mapped or int(address) >> 64)
