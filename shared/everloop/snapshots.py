"""What makes two snapshots the same: the question that was asked, and the files that it was asked of. Pure."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Final

from everloop.errors import InvalidError
from everloop.events import Snapshot

FORM: Final = "everloop.snapshot.v1"
_FILES: Final = ("predictions", "outcomes")
_DERIVED: Final = {"id", "content", *_FILES}


def identified(model: str, snapshot: Snapshot) -> Snapshot:
    """Give the snapshot its `id`: the SHA-256 of the model, the query and the digests of its files, as JSON.

    Where the files lie is no part of it, nor is their order, which their offsets give.
    """
    query = snapshot.model_dump(mode="json", exclude=_DERIVED, exclude_defaults=True)
    files = {kind: sorted(file.sha256 for file in getattr(snapshot, kind)) for kind in _FILES}
    said = json.dumps([FORM, model, query, files], ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return snapshot.model_copy(update={"id": sha256(said.encode()).hexdigest()})


def require_same(snapshot: Snapshot, content: str) -> None:
    """Raise `InvalidError("snapshot_changed")` when its rows were read before, and were others."""
    if snapshot.content is not None and snapshot.content != content:
        message = (
            f"the rows of the snapshot have the digest {content[:12]}…, and had {snapshot.content[:12]}…: they are not "
            "those that were read before; restore the archive's files (`everloop archive verify`), or train anew"
        )
        raise InvalidError("snapshot_changed", message)
