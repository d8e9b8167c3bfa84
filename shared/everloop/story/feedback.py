"""What predictions brought, per arm: of one window, and of all windows in which the same arms stood beside each other.

Told from windows of outcomes alone. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from everloop.events import WindowClosed
from everloop.sketch.feedback import Brought
from everloop.worth import Interval, Worth, difference, worth

CHAMPION: Final = "champion"
MOST_WINDOWS: Final = 500
"""Windows that are held and added up, the newest: each may be 100 kB."""


class Of(NamedTuple):
    """What feedback is of."""

    name: str
    arm: str
    version: str


class Counted(NamedTuple):
    """What rows have brought, and how many were served."""

    brought: Brought
    predicted: int

    def plus(self, other: Counted) -> Counted:
        """Both together."""
        return Counted(self.brought.merge(other.brought), self.predicted + other.predicted)


@dataclass(frozen=True, slots=True)
class Line:
    """One name of one arm. `more` and `more_per_row`: how much more than the champion's, for other arms."""

    of: Of
    worth: Worth
    late: int
    more: Interval | None = None
    more_per_row: Interval | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was brought from `start` to `end` (ms), in so many windows, in order of name and arm."""

    start: int
    end: int
    windows: int
    lines: tuple[Line, ...]


@dataclass(slots=True)
class Feedback:
    """The windows of outcomes with feedback, by their bounds; a revision replaces what it counts anew."""

    windows: dict[tuple[int, int], dict[Of, Counted]] = field(default_factory=dict)

    def hear(self, window: WindowClosed) -> None:
        """Fold one window, in the order of the log."""
        if window.kind != "outcomes" or not window.feedback:
            return
        known = self.windows.setdefault((window.start, window.end), {})
        if len(self.windows) > MOST_WINDOWS:
            del self.windows[next(iter(self.windows))]
        for one in window.feedback:
            of = Of(one.name, one.arm, one.version)
            predicted = known[of].predicted if one.predicted is None and of in known else one.predicted or 0
            known[of] = Counted(Brought.from_plain(one.counts), predicted)

    def stretches(self, start: int | None = None) -> tuple[Stretch, ...]:
        """The window that begins at `start`, else the last one; and all windows like the last one, if more than it.

        Alike are windows in which the same arms and versions were served, wherever they stand. Where windows overlap,
        only those are added up that do not.
        """
        order = sorted(self.windows, key=lambda bounds: (bounds[1], bounds[0]))
        served = [bounds for bounds in order if self._served(bounds)]
        if not served:
            return ()
        shown = [bounds for bounds in served if start is None or bounds[0] == start][-1:]
        together = _apart([bounds for bounds in order if self._is_like(bounds, served[-1])])
        both = (*(self._stretch([bounds]) for bounds in shown), self._stretch(together))
        return both if len(together) > 1 else both[: len(shown)]

    def _served(self, bounds: tuple[int, int]) -> frozenset[tuple[str, str]]:
        """Arms and versions with rows of this window; of others it may be said what came too late."""
        found = self.windows[bounds].items()
        return frozenset((of.arm, of.version) for of, one in found if one.predicted or one.brought.rows)

    def _is_like(self, bounds: tuple[int, int], last: tuple[int, int]) -> bool:
        served, wanted = self._served(bounds), self._served(last)
        return served == wanted or (not served and {(of.arm, of.version) for of in self.windows[bounds]} <= wanted)

    def _stretch(self, windows: Sequence[tuple[int, int]]) -> Stretch:
        found: dict[Of, Counted] = {}
        for bounds in windows:
            for of, counted in self.windows[bounds].items():
                found[of] = found[of].plus(counted) if of in found else counted
        start, end = min(start for start, _ in windows), max(end for _, end in windows)
        return Stretch(start, end, len(windows), tuple(_lines(found)))


def told(windows: Iterable[WindowClosed], start: int | None = None) -> tuple[Stretch, ...]:
    """What windows in the order of the log say; see `Feedback.stretches`."""
    feedback = Feedback()
    for one in windows:
        feedback.hear(one)
    return feedback.stretches(start)


def _lines(found: Mapping[Of, Counted]) -> Iterable[Line]:
    known = {of: worth(one.brought, one.predicted or None) for of, one in found.items()}
    for of in sorted(found, key=lambda of: (of.name, of.arm != CHAMPION, of.arm, of.version)):
        own, late = known[of], int(found[of].brought.late.sum())
        beside = [other for name, other in known.items() if name.name == of.name and name.arm == CHAMPION]
        champion = beside[0] if len(beside) == 1 and of.arm != CHAMPION else None
        if champion is None:
            yield Line(of, own, late)
        else:
            yield Line(of, own, late, _more(own.mean, champion.mean), _more(own.per_row, champion.per_row))


def _more(own: Interval | None, other: Interval | None) -> Interval | None:
    return None if own is None or other is None else difference(own, other)


def _apart(windows: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The last of these, in order of their ends, and of those before it as many as do not overlap."""
    chosen: list[tuple[int, int]] = []
    for start, end in reversed(windows):
        if not chosen or end <= chosen[-1][0]:
            chosen.append((start, end))
    return chosen[::-1]
