"""What a version was made to be asked, held against what it is said to have been asked. By column, not by cell."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from everloop.events import Event, RolloutStarted, SignedVerdict, VersionPromoted, VersionRolledBack

Rule = Literal["missing_feature", "unknown_feature", "no_number"]
NUMERIC: Final = "numeric"
MOST_VERSIONS: Final = 20
MOST_NAMED: Final = 20
"""Features of a request that are named: who sends thousands of wrong ones needs no list of them."""


class Unlike(NamedTuple):
    """One feature that is not as the version knows it. `rows`: the numbers of the rows concerned; None: all of them."""

    name: str
    rule: Rule
    rows: Sequence[int] | None = None


@dataclass(frozen=True)
class Signature:
    """The features of one version: the kind of each, `numeric` or `categorical`, by its name."""

    features: Mapping[str, str]

    @cached_property
    def numbers(self) -> frozenset[str]:
        """The features that are numbers."""
        return frozenset(name for name, kind in self.features.items() if kind == NUMERIC)

    def unlike(self, columns: Mapping[str, Sequence[object]]) -> list[Unlike]:
        """What is not as the version knows it, missing features first; 20 at most."""
        found = [*self._names(columns.keys()), *self._texts(columns)]
        return found[:MOST_NAMED]

    def _names(self, names: Collection[str]) -> Iterable[Unlike]:
        if self.features.keys() == names:
            return
        yield from (Unlike(name, "missing_feature") for name in self.features if name not in names)
        yield from (Unlike(name, "unknown_feature") for name in names if name not in self.features)

    def _texts(self, columns: Mapping[str, Sequence[object]]) -> Iterable[Unlike]:
        for name in self.numbers:
            column = columns.get(name, ())
            if not _adds_up(column):
                rows = [place for place, value in enumerate(column) if isinstance(value, str)]
                yield from (Unlike(name, "no_number", rows),) if rows else ()


@dataclass(frozen=True)
class Signatures:
    """Those of the versions of one model; `refuses` says that rows which are unlike are not taken."""

    versions: Mapping[str, Signature] = field(default_factory=dict)
    champion: str | None = None
    refuses: bool = False

    def of(self, version: str | None) -> Signature | None:
        """That of the version which the rows name, where it is known, else that of the champion; None without one."""
        return self.versions.get(version or "") or self.versions.get(self.champion or "")


UNKNOWN: Final = Signatures()
"""Of a model that has no version yet."""


def _adds_up(column: Sequence[Any]) -> bool:
    """Whether there are numbers alone: to add them is the fastest way to look at each."""
    try:
        sum(column)
    except TypeError:
        return False
    return True


def learn(known: Signatures, event: Event) -> Signatures:
    """What is known after an event of `rollouts`: the gate's verdict says what a version is asked."""
    match event:
        case RolloutStarted():
            return replace(known, versions=_with(known.versions, event.verdict))
        case VersionPromoted() | VersionRolledBack():
            return replace(known, versions=_with(known.versions, event.verdict), champion=event.verdict.version)
    return known


def _with(versions: Mapping[str, Signature], verdict: SignedVerdict) -> Mapping[str, Signature]:
    """The versions with one more; the oldest of too many is forgotten, and its rows are held against the champion."""
    others = [one for one in versions.items() if one[0] != verdict.version][-MOST_VERSIONS + 1 :]
    return {**dict(others), verdict.version: Signature(verdict.features)}
