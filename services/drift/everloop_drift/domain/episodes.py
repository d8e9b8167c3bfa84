"""Where an episode stands: it opens after windows in a row that drifted, closes after as many that did not. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from everloop.events import Episode, WindowClosed, WindowJudged, WindowVerdict


@dataclass(frozen=True, slots=True)
class Track:
    """One kind of episode, of one version: windows in a row that drifted or did not, and the episode that is open.

    `rows` counts rows of the version so far; `succeeds` says that another version was the champion before it.
    """

    version: str | None = None
    succeeds: bool = False
    rows: int = 0
    drifted: int = 0
    stable: int = 0
    first_drifted: int | None = None
    episode: UUID | None = None
    change_at: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The stage of the episode after a window, its id, and when the change began (ms)."""

    stage: Episode
    identity: UUID | None = None
    change_at: int | None = None


def step(track: Track, verdict: WindowVerdict, window: WindowClosed, confirm: int, *, superseded: bool) -> Step:
    """Go one window on. Verdicts that are neither stable nor drifted change nothing.

    A revision comes after later windows were judged: it neither opens, continues nor closes an episode.
    """
    if window.revision:
        return Step(Episode.NONE)
    if track.episode is not None:
        ends = superseded or (verdict == "stable" and track.stable + 1 >= confirm)
        return Step(Episode.CLOSED if ends else Episode.CONTINUING, track.episode, track.change_at)
    if verdict == "drifted" and not superseded and track.drifted + 1 >= confirm:
        return Step(Episode.OPENED, window.id, track.first_drifted if track.drifted else window.start)
    return Step(Episode.NONE)


def follow(track: Track, event: WindowJudged) -> Track:
    """Fold one judged window that is no revision."""
    if event.version != track.version:
        track = Track(version=event.version, succeeds=track.version is not None)
    elif event.episode is Episode.CLOSED:
        track = Track(version=track.version, succeeds=track.succeeds, rows=track.rows)
    track = _counted(replace(track, rows=track.rows + event.rows), event)
    if event.episode is Episode.OPENED:
        return replace(track, episode=event.episode_id, change_at=event.change_at)
    return track


def _counted(track: Track, event: WindowJudged) -> Track:
    if event.verdict == "drifted":
        first = track.first_drifted if track.drifted else event.start
        return replace(track, drifted=track.drifted + 1, stable=0, first_drifted=first)
    if event.verdict == "stable":
        return replace(track, drifted=0, stable=track.stable + 1, first_drifted=None)
    return track
