"""One cause is one alert: whatever opens while something is open belongs to the same incident. Pure.

An incident begins with the first episode or fault of the data and ends when the last one that was open is over. A fault
of the data that comes while only episodes are open is told as well, once: there is a feed to repair, which nobody knew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from everloop.diagnoses import DATA_FAULTS
from everloop.events import Episode, WindowJudged


class Incident(NamedTuple):
    """What is told as one. `identity` is the event that began it, `told` the last one that led to an alert.

    `name` is the episode or fault that it was last told as, `over` whether it has ended.
    """

    identity: UUID
    name: str
    told: UUID
    over: bool = False

    @property
    def of_data(self) -> bool:
        """Whether it was told as a fault of the data."""
        return self.name in DATA_FAULTS


def of_data(kinds: Iterable[str]) -> bool:
    """Whether there is a fault of the data among these."""
    return not DATA_FAULTS.isdisjoint(kinds)


def follow(known: Incident | None, event: WindowJudged, going_on: bool) -> Incident | None:  # noqa: FBT001 - a fact
    """Fold one judged window; `going_on`: an episode or a fault of the data is open after it."""
    live = None if known is None or known.over else known
    opened = _opened(event)
    if not going_on:
        return known if live is None else live._replace(told=event.id, over=True)
    if live is None:
        return Incident(event.id, opened, event.id) if opened else known
    if opened in DATA_FAULTS and not live.of_data:
        return live._replace(name=opened, told=event.id)
    return live


def _opened(event: WindowJudged) -> str:
    """What opens with this window: a fault of the data before an episode; empty for nothing."""
    faults = [one.kind for one in event.faults if one.stage is Episode.OPENED and one.kind in DATA_FAULTS]
    episode = event.episode_kind if event.episode is Episode.OPENED else None
    return next(iter(faults), episode) or ""
