"""Facts of one model: folds of broadcast topics, consulted on ticks only (DESIGN rule 3). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate

from everloop import events as e
from everloop.archive.keeping import Files, replaced, source_of, without

REMEMBERED_CHAMPIONS = 5
"""A second check of the gate against the best of the last five stops a slow slide."""


REMEMBERED_VERSIONS = 20
"""Of so many versions it is known what they learned from."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What a version learned from: rows with `start <= time < cut` (ms), and the kinds of its features by name."""

    start: int
    cut: int
    features: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one model beside the own journal: its archive, its champion, whether a rollout is live.

    `learned` is known only to those that read `training` as facts. `manifests` are the files of the archive that count;
    `reached` is the last archived offset by topic, partition and kind, also where the file is merged or expired by now.
    """

    manifests: Files = ()
    reached: Mapping[tuple[str, int, str], int] = field(default_factory=dict)
    champion: e.SignedVerdict | None = None
    past_champions: tuple[str, ...] = ()
    rollout_live: str | None = None
    learned: Mapping[str, Learned] = field(default_factory=dict)

    @property
    def archived_outcomes(self) -> int:
        """Labelled rows in the archive, bootstrap rows included."""
        return sum(manifest.rows for manifest in self.manifests if manifest.kind == "outcomes")

    def rows_since(self, kind: str, start: int) -> int:
        """Rows of this kind whose slice begins at or after `start` (ms)."""
        covered = (c for m in self.manifests if m.kind == kind for c in m.coverage)
        return sum(c.rows for c in covered if c.start >= start)

    def newest(self, kind: str) -> int | None:
        """Begin (ms) of the newest slice with a row of this kind; None when there is none."""
        return max((c.start for m in self.manifests if m.kind == kind for c in m.coverage), default=None)

    def oldest(self, kind: str) -> int | None:
        """Begin (ms) of the oldest slice with a row of this kind; None when there is none."""
        return min((c.start for m in self.manifests if m.kind == kind for c in m.coverage), default=None)

    def files(self, kind: str, start: int, end: int) -> tuple[e.FileRef, ...]:
        """The files with at least one row of this kind in slices that begin in `[start, end)` (ms).

        In order of partition and offset, which is the order of their rows however they are cut into files.
        """
        hit = [m for m in self.manifests if m.kind == kind and any(start <= c.start < end for c in m.coverage)]
        hit.sort(key=lambda m: (m.topic, m.partition, m.first_offset))
        return tuple(e.FileRef(uri=m.uri, sha256=m.sha256) for m in hit)

    def reach(self, kind: str, rows: int, end: int) -> int:
        """Begin (ms) of the newest slice from which on there are so many rows of this kind; the oldest where not.

        Slices that begin at `end` or later do not count.
        """
        found = Counter[int]()
        for covered in (c for m in self.manifests if m.kind == kind for c in m.coverage if c.start < end):
            found[covered.start] += covered.rows
        begins = sorted(found, reverse=True)
        totals = accumulate(found[start] for start in begins)
        enough = (start for start, total in zip(begins, totals, strict=True) if total >= rows)
        return next(enough, begins[-1] if begins else 0)


def fold(facts: Facts, event: e.Event) -> Facts:
    """Fold one event of `archive`, `rollouts` or `training` into the facts; any other event leaves them as they are."""
    match event:
        case e.ManifestCommitted() | e.FilesMerged() | e.FilesExpired():
            return _filed(facts, event)
        case e.ModelVersionCreated():
            kept = list(facts.learned.items())[-REMEMBERED_VERSIONS + 1 :]
            learned = Learned(event.snapshot.start, event.cut, event.features)
            return replace(facts, learned={**dict(kept), event.version: learned})
        case e.RolloutStarted() | e.RolloutAborted():
            live = event.version if isinstance(event, e.RolloutStarted) else None
            return replace(facts, rollout_live=live)
        case e.VersionPromoted():
            past = (event.version, *facts.past_champions)[:REMEMBERED_CHAMPIONS]
            return replace(facts, champion=event.verdict, past_champions=past, rollout_live=None)
        case e.VersionRolledBack():
            return replace(facts, champion=event.verdict)
    return facts


def _filed(facts: Facts, event: e.ManifestCommitted | e.FilesMerged | e.FilesExpired) -> Facts:
    """Which files of the archive count after the event. Where two writers met, the first in the log counts."""
    match event:
        case e.FilesMerged():
            return replace(facts, manifests=replaced(facts.manifests, event))
        case e.FilesExpired():
            return replace(facts, manifests=without(facts.manifests, event))
    source = source_of(event)
    if event.first_offset <= facts.reached.get(source, -1):
        return facts
    reached = {**facts.reached, source: event.last_offset}
    return replace(facts, manifests=(*facts.manifests, event), reached=reached)


def announced(event: e.ManifestCommitted, known: e.ManifestCommitted) -> bool:
    """Whether two writers met: rows of this file were announced before. The first in the log counts, this one is void.

    `known` is the last of the same model that counts.
    """
    return source_of(event) == source_of(known) and event.first_offset <= known.last_offset
