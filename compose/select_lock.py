"""Cut the stanzas of named packages out of a lock, hashes included: `select_lock.py LOCK < NAMES > PART`.

A line of NAMES is `name` or `name==version`, with or without a marker. A name that the lock has not, or has at another
version, ends with code 1: nothing is ever installed that the lock does not vouch for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_PIN: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^\]]*\])?(==(?P<version>[^\s;\\]+))?")


def stanzas(lock: str) -> dict[str, str]:
    """Split a lock into its stanzas, by normalised name; comments are left out."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            name = normalised(pin["name"])
        if name and not line.lstrip().startswith("#"):
            found[name] = found.get(name, "") + line + "\n"
    return found


def select(lock: Mapping[str, str], names: Iterable[str]) -> str:
    """Give the stanzas of `names`, in their order. Raises `LookupError` for what is not locked, or not so."""
    return "".join(_stanza(lock, pin) for line in names if (pin := _PIN.match(line.strip())))


def normalised(name: str) -> str:
    """One spelling per project (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _stanza(lock: Mapping[str, str], pin: re.Match[str]) -> str:
    stanza = lock.get(normalised(pin["name"]), "")
    locked = _PIN.match(stanza)
    if locked is None or pin["version"] not in {None, locked["version"]}:
        raise LookupError(f"{pin[0]} is not in the lock at this version; run `make lock`")
    return stanza


def main(lock: Path) -> int:
    """Read names from standard input, write their stanzas to standard output; the exit code."""
    try:
        sys.stdout.write(select(stanzas(lock.read_text("utf-8")), sys.stdin))
    except LookupError as error:
        sys.stderr.write(f"select_lock: {error.args[0]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
