"""How labels come: the delay curve, what is usual when a window closes, and whether they have stopped. Pure.

A *look* is a stretch of windows in which at least five labels were due, by what is usual. It is silent with less than a
quarter of them. In ordinary times silence begins with some chance q and goes on with some chance s: labels that are
handed in once a day have long silences, and each is ordinary. Both are learnt by counting (q from Laplace's rule, s
from even chances as if eight looks had been seen), and labels have stopped when a silence is as long as begins by
chance less than once in 60 days: the mean of q s^(n-1), over what the two may be by the counts, is at most every / 60
days. That is the model; by simulation it is less than once in 30 days. A silence that was told counts as one that was
at least so long, so that neither what is ordinary stays unknown nor an outage of weeks becomes ordinary.

Where there was silence before, a week and a day must be known first, so that nights and weekends are no news.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from math import lgamma
from typing import Final

import numpy as np

from everloop.events import ArmWindow, CoverageAt, Episode, LabelFlow, LabelsArrived, WindowClosed
from everloop.loop import Loop
from everloop.sketch import Labelled
from everloop.sketch.delays import UPPERS, places_of_delays
from everloop_drift.domain.budget import rounded
from everloop_drift.domain.delay_curve import Cohort, Curve, accepted, came_late, curve, remembered
from everloop_drift.domain.rules import milliseconds

LEARNT: Final = 8
"""Looks before anything is expected."""
DUE: Final = 5
"""Labels that must be due in a look."""
SILENT: Final = 0.25
"""A look with less than this share of the usual labels is silent."""
QUIET_MS: Final = 60 * 24 * 60 * 60 * 1000
"""Time in which one false alarm is accepted."""
PRIOR: Final = 4
"""Silent looks that went on, and as many that did not, before any was seen."""
WEEK_MS: Final = 8 * 24 * 60 * 60 * 1000
"""A week, and a day in which its last silence ends."""
MOST_LOOKS: Final = 64
"""The newest looks that say what is usual."""
MOST_COUNTED: Final = 4_096
"""Beyond so many looks the counts of silences are halved: what was long ago matters less."""
SHORTEST: Final = 2
LONGEST: Final = 2**40
"""Silent looks at least: one is none. And at most, whatever the counts."""
AGES_MS: Final = tuple(60_000 * minutes for minutes in (1, 5, 15, 60, 360, 1_440, 4_320, 10_080, 20_160, 43_200))
"""Ages at which coverage is said: 1, 5, 15 minutes, 1, 6 hours, 1, 3, 7, 14, 30 days."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Looks that followed a loud one, those of them that were silent; the same after a silent one."""

    loud: int = 0
    begun: int = 0
    silent: int = 0
    gone_on: int = 0

    def over(self, run: int) -> Looks:
        """A loud look after so many silent ones."""
        return Looks(self.loud + 1, self.begun + (run > 0), self.silent + run, self.gone_on + max(0, run - 1)).bounded()

    def at_least(self, run: int) -> Looks:
        """A silence that is so long by now, and was told: how it goes on is not counted (it is censored)."""
        return Looks(self.loud + 1, self.begun + 1, self.silent + run - 1, self.gone_on + run - 1).bounded()

    def bounded(self) -> Looks:
        """All counts by half, where there are too many."""
        if self.loud + self.silent <= MOST_COUNTED:
            return self
        return Looks(self.loud // 2, self.begun // 2, self.silent // 2, self.gone_on // 2)

    def longest(self, rate: float) -> int:
        """The shortest silence that begins with at most this chance at a look."""
        return bisect_left(range(LONGEST), -rate, SHORTEST, key=lambda looks: -self.chance(looks))

    def chance(self, looks: int) -> float:
        """That a silence of at least so many looks begins behind a loud one.

        By the posteriors of q and s, which are Beta; the mean of s^(n-1) is a ratio of gamma functions.
        """
        goes, ends = PRIOR + self.gone_on, PRIOR + self.silent - self.gone_on
        mean = lgamma(goes + looks - 1) - lgamma(goes) + lgamma(goes + ends) - lgamma(goes + ends + looks - 1)
        return (self.begun + 1) / (self.loud + 2) * math.exp(mean)


@dataclass(frozen=True, slots=True)
class Flow:
    """What is known of one model, whose windows close `horizon` ms after their end.

    `usual` are rows and labels of the newest looks that were not silent, `pool` those of one that has begun at
    `pool_since` (ms). `run` counts silent looks in a row, from `since` on; `began` is where the first window began,
    `stopped` says that the silence was told.
    """

    horizon: int | None = None
    cohorts: tuple[Cohort, ...] = ()
    windows: int = 0
    began: int | None = None
    usual: tuple[tuple[int, int], ...] = ()
    pool: tuple[int, int] = (0, 0)
    pool_since: int = 0
    looks: Looks = field(default_factory=Looks)
    run: int = 0
    since: int | None = None
    stopped: bool = False

    @property
    def share(self) -> float | None:
        """Share of the rows that usually have a label when their window closes; None before it is known."""
        rows = sum(one for one, _ in self.usual)
        return sum(labels for _, labels in self.usual) / rows if len(self.usual) >= LEARNT else None

    def limit(self, every_ms: int, now: int) -> int | None:
        """Silent looks in a row that are a stop; None while too little is known."""
        known = self.looks.begun == 0 or (self.began is not None and now - self.began >= WEEK_MS)
        return self.looks.longest(every_ms / QUIET_MS) if self.share and known else None

    def curve(self, now: int, matured: float) -> Curve | None:
        """The delay curve at `now` (ms); None while too little is known."""
        found = curve(accepted(self.cohorts, matured, now), now) if self.windows >= LEARNT else None
        return found if found and found.ever > 0 else None


def follow(flow: Flow, said: LabelFlow) -> Flow:
    """Fold what a window said."""
    after = taken(flow, said.arrived, said.at)
    if said.stopped is Episode.OPENED:
        return replace(after, stopped=True, looks=after.looks.at_least(after.run))
    return replace(after, stopped=False) if said.stopped is Episode.CLOSED else after


def taken(flow: Flow, arrived: LabelsArrived, at: int) -> Flow:
    """Take what arrived with one window, closed at `at` (ms). A window without rows says nothing of their labels."""
    flow = _of_horizon(replace(flow, cohorts=came_late(flow.cohorts, arrived.late, at)), at - arrived.end)
    if not arrived.predicted:
        return flow
    born = Cohort(arrived.start, arrived.end, arrived.predicted, dict(arrived.delays))
    begun = arrived.start if flow.began is None else flow.began
    cohorts = remembered((*flow.cohorts, born), at)
    return _looked(replace(flow, cohorts=cohorts, windows=flow.windows + 1, began=begun), arrived)


def look(flow: Flow, window: WindowClosed, arm: ArmWindow | None, loop: Loop) -> LabelFlow | None:
    """What a window of outcomes says of how labels come; None of a revision, and where its rows are not known."""
    if window.labels is None:
        return None
    at = closed_at(window)
    after = taken(flow, window.labels, at)
    limit, found = after.limit(milliseconds(loop.windows.every), at), after.curve(at, loop.labels.matured)
    return LabelFlow(
        at=at, arrived=window.labels, windows=after.windows, reach=found.reach if found else 0,
        ever=rounded(found.ever) if found else None, usual=rounded(after.share) if after.share is not None else None,
        p50=found.delay_ms(0.5) if found else None, p95=found.delay_ms(0.95) if found else None,
        needed=_needed(found, loop), by_age=_by_age(arm, found, at - window.end), silent=after.run,
        silent_limit=limit, stopped=stage(flow, after, limit), since=after.since,
    )  # fmt: skip


def needed(flow: Flow, at: int, loop: Loop) -> float | None:
    """The coverage from which on quality is judged; None while too little is known to say."""
    return _needed(flow.curve(at, loop.labels.matured), loop)


def closed_at(window: WindowClosed) -> int:
    """When a window was closed (ms)."""
    return round(window.time.timestamp() * 1000)


def _needed(found: Curve | None, loop: Loop) -> float | None:
    return rounded(loop.labels.matured * found.ever) if found else None


def stage(before: Flow, after: Flow, limit: int | None) -> Episode:
    """Whether labels have stopped with this window, still are, or came again."""
    if before.stopped:
        return Episode.CONTINUING if after.run else Episode.CLOSED
    return Episode.OPENED if limit is not None and after.run >= limit else Episode.NONE


def _of_horizon(flow: Flow, horizon: int) -> Flow:
    """What is usual at one horizon is not at another."""
    if flow.horizon == horizon:
        return flow
    run, since = (flow.run, flow.since) if flow.stopped else (0, None)
    return replace(flow, horizon=horizon, usual=(), pool=(0, 0), looks=Looks(), run=run, since=since)


def _looked(flow: Flow, arrived: LabelsArrived) -> Flow:
    """Take the rows of one window into a look, and the look into what is known, where enough is due."""
    rows, came = flow.pool[0] + arrived.predicted, flow.pool[1] + sum(arrived.delays.values())
    since, share = flow.pool_since if flow.pool[0] else arrived.start, flow.share
    if share is not None and max(share * rows, came) < DUE:
        return replace(flow, pool=(rows, came), pool_since=since)
    flow = replace(flow, pool=(0, 0))
    silent = came == 0 if share is None else came < SILENT * share * rows
    if not silent or share is None:
        flow = replace(flow, usual=(*flow.usual, (rows, came))[-MOST_LOOKS:])
    if silent:
        return replace(flow, run=flow.run + 1, since=flow.since if flow.run else since)
    return replace(flow, looks=flow.looks.over(0 if flow.stopped else flow.run), run=0, since=None)


def _by_age(arm: ArmWindow | None, found: Curve | None, horizon: int) -> tuple[CoverageAt, ...]:
    """Coverage of the champion's rows at ages that all of them have reached, each at the end of its bin."""
    if arm is None or not arm.predicted or not arm.quality:
        return ()
    came = np.cumsum(Labelled.from_plain(arm.quality).ages) / arm.predicted
    places = [int(place) for place in places_of_delays(np.array(AGES_MS)) if UPPERS[place] <= horizon]
    return tuple(
        CoverageAt(
            age=int(UPPERS[place]), share=rounded(float(came[place])),
            usual=rounded(float(found.shares[place])) if found else None,
        )
        for place in places
    )  # fmt: skip
