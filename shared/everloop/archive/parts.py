"""A file that was merged into another, cut out of it again: to the byte, or not at all.

Rows keep their order in a merge, and the same rows give the same bytes. So a snapshot that is older than the grace can
be read again, also where its files are gone: what is cut out has the digest that the snapshot names, or is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from everloop.archive.keeping import name_of
from everloop.archive.writing import written
from everloop.artifacts import Artifact, ArtifactStore, check_bytes, missing
from everloop.events import Event, FileRef, FilesMerged, ManifestCommitted


class Part(NamedTuple):
    """The rows `[start, start + rows)` of a larger file."""

    file: FileRef
    start: int
    rows: int


@dataclass
class Parts:
    """Into which file each was merged, by digest; that one may have been merged in its turn. `names`: as it was put."""

    found: dict[str, Part] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def hear(self, said: Event) -> None:
        """Note a merge. One that is void has the same rows all the same, as long as its file is there."""
        if isinstance(said, ManifestCommitted | FilesMerged) and not said.uri.endswith(said.sha256):
            self.names[said.sha256] = name_of(
                said.model, said.kind, said.partition, (said.first_offset, said.last_offset)
            )
        if isinstance(said, FilesMerged):
            start, file = 0, FileRef(uri=said.uri, sha256=said.sha256)
            for part in said.replaces:
                self.found[part.sha256] = Part(file, start, part.rows)
                start += part.rows

    def restore(self, store: ArtifactStore, digest: str) -> Artifact:
        """Put the file where it was, from the one that it was merged into. Raises as `bytes_of`."""
        return store.put(self.bytes_of(store, digest), "archive", self.names.get(digest, ""))

    def bytes_of(self, store: ArtifactStore, digest: str) -> bytes:
        """Cut the file out of the one that it was merged into.

        Raises `InvalidError`: `missing` where it was merged into none, `digest_mismatch` where other bytes come out.
        """
        part = self.found.get(digest)
        if part is None:
            raise missing(digest)
        if part.file.sha256 in self.found:
            whole = self.bytes_of(store, part.file.sha256)
        else:
            whole = store.fetch(part.file.uri, part.file.sha256)
        return _cut(whole, part, digest)


def parts_of(events: Iterable[Event]) -> Parts:
    """All that was merged, in the order of the log."""
    parts = Parts()
    for said in events:
        parts.hear(said)
    return parts


def _cut(whole: bytes, part: Part, digest: str) -> bytes:
    """Write the rows as ingest writes files, or as it did."""
    import pyarrow as pa  # noqa: PLC0415 - costs half a second; only who reads files pays
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    table = pq.read_table(pa.BufferReader(whole)).slice(part.start, part.rows).combine_chunks()
    data = written(table)
    if sha256(data).hexdigest() != digest:
        data = written(table, dictionaries=True)
    check_bytes(data, digest)
    return data
