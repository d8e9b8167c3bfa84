"""Names of models: `NAME.rN` is the N-th replay of `NAME`, and one name is Everloop's own. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

PROBE: Final = "__probe"
"""The made-up model by which drift proves that it still sees. It has no loop file, and nobody but drift hears of it."""
_REPLAYED: Final = re.compile(r"(?P<name>.+)\.r(?P<number>[1-9][0-9]*)")


def lineage(model: str) -> str:
    """The name that all replays of a model share: `fraud` for `fraud.r3`, and for `fraud` itself.

    What has to be equal in every replay of one stream, such as the salt of a rollout, is made from it.
    """
    found = _REPLAYED.fullmatch(model)
    return found["name"] if found else model


def next_replay(name: str, known: Iterable[str]) -> str:
    """The first free `NAME.rN`; `known` are the models that there are. Replaying a replay goes on with its name."""
    base = lineage(name)
    matches = (_REPLAYED.fullmatch(model) for model in known)
    numbers = [int(found["number"]) for found in matches if found and found["name"] == base]
    return f"{base}.r{max(numbers, default=0) + 1}"
