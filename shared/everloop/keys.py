"""Whether an object of a JSON document has had a key twice: of two, parsers keep the last and say nothing.

What a sender means by two values nobody knows, so such a document is malformed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_KEY: Final = re.compile(rb'"[ \t\r\n]*:')
_SPACED: Final = (b" :", b"\t:", b"\n:", b"\r:")
_PARTS: Final = ("features", "shadow")


def count(data: Mapping[str, Any]) -> int:
    """Keys of a record of rows: its own, and those of its features and its shadow."""
    return len(data) + sum(len(part) for part in map(data.get, _PARTS) if type(part) is dict)


def are_once(raw: bytes, keys: int) -> bool:
    """Whether a document of which a parser has kept so many keys can have had none twice. False where that is open.

    Behind each key in the bytes stands a colon, behind its closing quote, and texts may have such besides: there are at
    least as many as keys that were sent.
    """
    if raw.count(b":") == keys:
        return True
    if not any(spaced in raw for spaced in _SPACED):
        return raw.count(b'":') == keys
    return len(_KEY.findall(raw)) == keys


def has_twice(raw: bytes) -> bool:
    """Whether a document that has been parsed has a key twice in any of its objects; as slow as parsing it again."""
    twice: list[int] = []

    def seen(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) < len(pairs):
            twice.append(1)

    try:
        json.loads(raw, object_pairs_hook=seen)
    except (ValueError, RecursionError):
        return True
    return bool(twice)
