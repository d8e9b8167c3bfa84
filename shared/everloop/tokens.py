"""Bearer tokens: who may call which HTTP route. A service knows their SHA-256 alone; the clear ones lie with callers.

A token is 32 random bytes, so a plain hash keeps it secret: there is nothing that could be guessed and tried.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from everloop.errors import UsageError

Role = Literal["ingest", "labels", "events", "scoring", "admin"]
Access = Role | Literal["public"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
ROUTES: Final[Mapping[tuple[str, str], Access]] = {
    ("GET", "/healthz"): "public",
    ("GET", "/readyz"): "public",
    ("GET", "/metrics"): "public",
    ("POST", "/v1/predictions"): "ingest",
    ("POST", "/v1/labels"): "labels",
    ("POST", "/v1/feedback"): "labels",
    ("POST", "/v1/events"): "events",
    ("POST", "/v1/models/{name}/predict"): "scoring",
}
"""Every route of every service. What is not here is denied. `public`: open to this machine, to others with `admin`."""

LARGEST_FILE: Final = 65_536
VARIABLE: Final = "EVERLOOP_TOKEN_"
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Entry(BaseModel):
    """One valid token: what it is for, and its SHA-256 in hexadecimal digits."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    role: Role
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TokenFile(BaseModel):
    """What services read. Several entries of one role are valid at once, so that callers can change over."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    version: Literal[1] = 1
    tokens: Annotated[tuple[Entry, ...], Field(min_length=1, max_length=100)]


def digest(token: str) -> str:
    """Give what is kept of a token."""
    return sha256(token.encode()).hexdigest()


def read_tokens(path: Path) -> TokenFile:
    """Read the hashes. Raises `UsageError`: missing, of another form, or writable by others, who could add theirs."""
    try:
        return TokenFile.model_validate_json(_bytes(path, _WRITABLE_BY_OTHERS, "write"))
    except ValidationError:
        raise UsageError(f"{path}: this is no file of token hashes; make one with `everloop up --tokens`") from None


def read_clear(path: Path) -> dict[Role, SecretStr]:
    """Read clear tokens, one line `VARIABLE=TOKEN` per role. Raises `UsageError`: missing, or open to others."""
    lines = _bytes(path, _OPEN_TO_OTHERS, "read").decode("ascii", errors="replace").splitlines()
    return from_environment({name.strip(): text.strip() for name, _, text in (line.partition("=") for line in lines)})


def from_environment(environment: Mapping[str, str]) -> dict[Role, SecretStr]:
    """Give the clear tokens in a mapping of variables, by role."""
    named = {role: environment.get(variable_of(role)) for role in ROLES}
    return {role: SecretStr(text) for role, text in named.items() if text}


def variable_of(role: Role) -> str:
    """Give the name of the variable that holds the clear token of a role."""
    return VARIABLE + role.upper()


def bearer(token: SecretStr | None) -> dict[str, str]:
    """Give the header that shows a token; nothing without one."""
    return {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}


class Tokens:
    """The hashes in a file, read again when the file is another one. Any moment's hashes are one whole file's."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises `UsageError` as `read_tokens`."""
        self.path: Final = path
        self._stamp = _stamp(path)  # before it is read: a change in between is seen at the next look
        self.entries: tuple[Entry, ...] = read_tokens(path).tokens
        self.wrong: str | None = None

    def __repr__(self) -> str:
        """Show the path and how many."""
        return f"Tokens({self.path}, {len(self.entries)})"

    def refresh(self) -> None:
        """Look whether the file has changed. One that cannot be read makes no token valid: `wrong` says why."""
        stamp = _stamp(self.path)
        if stamp == self._stamp and stamp is not None:
            return
        try:
            self.entries, self.wrong = read_tokens(self.path).tokens, None
        except UsageError:
            self.entries, self.wrong = (), "the file of tokens cannot be read"
        self._stamp = stamp

    def role_of(self, hashed: str) -> Role | None:
        """Give the role of a token by its hash; compared with every entry, each in constant time."""
        found: Role | None = None
        for entry in self.entries:
            if compare_digest(entry.sha256, hashed):
                found = entry.role
        return found


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _bytes(path: Path, forbidden: int, what: str) -> bytes:
    """Read a file of tokens; the mode is that of the opened file."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & forbidden:
                raise UsageError(f"{path}: group or others may {what} this file of tokens; fix it: chmod 600 {path}")
            return file.read(LARGEST_FILE)
    except OSError as error:
        message = f"{path}: the file of tokens cannot be read ({error.strerror}); make one with `everloop up --tokens`"
        raise UsageError(message) from error
