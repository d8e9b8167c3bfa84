"""Making and replacing the tokens of a local stack: hashes for the services, clear ones for callers on this machine."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from everloop.local.files import write_atomically
from everloop.tokens import ROLES, Entry, TokenFile, digest, read_clear, read_tokens, variable_of

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

    from everloop.tokens import Role

HASHES = "tokens.json"
CLEAR = "tokens.env"
CLOSED: Final = 0o600
KEPT: Final = 2
"""Valid tokens of a role: the newest, and the one before it until the next change."""


def ensure_tokens(directory: Path) -> tuple[Path, Path]:
    """Return the paths of the hashes and of the clear tokens; made, both with mode 0600, where there are none.

    Raises `UsageError` for files of another form or mode.
    """
    hashes, clear = directory / HASHES, directory / CLEAR
    if not hashes.exists():
        made = {role: new_token() for role in ROLES}
        _write_clear(clear, made)  # first: hashes whose tokens nobody knows would lock everybody out
        _write_hashes(hashes, [Entry(role=role, sha256=digest(token)) for role, token in made.items()])
    read_tokens(hashes)
    read_clear(clear)
    return hashes, clear


def replace_token(directory: Path, role: Role) -> None:
    """Make a new token of a role. The one before stays valid until the next change: two changes end it."""
    hashes, clear = ensure_tokens(directory)
    token, entries = new_token(), read_tokens(hashes).tokens
    mine = [entry for entry in entries if entry.role == role]
    others = [entry for entry in entries if entry.role != role]
    _write_hashes(hashes, [*others, *mine[1 - KEPT :], Entry(role=role, sha256=digest(token))])
    _write_clear(clear, {**{name: _text(known) for name, known in read_clear(clear).items()}, role: token})


def new_token() -> str:
    """Make 32 random bytes into a text; the prefix lets scanners for leaked secrets find it."""
    return f"everloop_{secrets.token_urlsafe(32)}"


def _text(known: SecretStr) -> str:
    return known.get_secret_value()


def _write_hashes(path: Path, entries: list[Entry]) -> None:
    content = TokenFile(tokens=tuple(entries)).model_dump_json(indent=2)
    write_atomically(path, content.encode(), mode=CLOSED)


def _write_clear(path: Path, tokens: dict[Role, str]) -> None:
    lines = "".join(f"{variable_of(role)}={token}\n" for role, token in tokens.items())
    write_atomically(path, lines.encode(), mode=CLOSED)
