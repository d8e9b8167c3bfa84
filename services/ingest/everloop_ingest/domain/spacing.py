"""When the store takes no files, full or away: a try every few seconds, and rows are taken up to a limit. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

AGAIN_MS: Final = 5_000
MOST_HELD: Final = 200_000
"""Rows that are held in memory while there is no space."""


@dataclass
class Space:
    """Whether the last file found room. Times in ms of the wall."""

    full_since: int | None = None
    again_at: int = 0

    def rests(self, now: int) -> bool:
        """Whether it is too early to try again."""
        return self.full_since is not None and now < self.again_at

    def refused(self, now: int) -> bool:
        """A file found none; whether that is news."""
        news = self.full_since is None
        self.full_since = now if self.full_since is None else self.full_since
        self.again_at = now + AGAIN_MS
        return news

    def found(self) -> bool:
        """A file found room; whether that is news."""
        news = self.full_since is not None
        self.full_since = None
        return news

    def accepts(self, rows: int) -> bool:
        """Whether more rows may come when so many wait."""
        return self.full_since is None or rows < MOST_HELD
