"""Short work on the outside world, beside the loop: tried until it is done, and committed then (DESIGN rules 5, 10).

A registry displays decisions and is never a lock, so no decision waits for it: the work is done by other hands (a
thread), one piece at a time, and what fails is tried again later. Within a model the order of its journal is kept;
models do not wait for one another. The group `everloop.<room>.effects` has committed what is done, so a restart begins
with the oldest work that is not.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from everloop.errors import EverloopError, InvalidError
from everloop.events import Event
from everloop.logs import about
from everloop.metrics import Metrics
from everloop.runtime.log import Log, Place
from everloop.runtime.room import Effect

FIRST_PAUSE_S: Final = 1.0
LAST_PAUSE_S: Final = 60.0
LATE_S: Final = 60.0
"""Wall seconds after which a person should hear that something is not shown outside."""
MOST_REFUSALS: Final = 10
"""An answer that says no is asked for again this often, about five minutes: what it needs may be on its way."""
logger = structlog.get_logger()


class Tell(Protocol):
    """Raises the alert that an event is not shown outside: not yet, or `for_good`."""

    def __call__(self, event: Event, why: str, *, for_good: bool) -> None:
        """Say so; again under the same id changes nothing."""


class Inline(Executor):
    """Does the work at once, where it is handed over: the hands of tests and of the simulation."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 -- the port's types
        """Work, and hand out what came of it."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 -- it is the future's, as it would be from a thread
            future.set_exception(error)
        return future


@dataclass
class Work:
    """What one event asks for. `since`: its first try; `due`: not to be tried before; both in wall time."""

    event: Event
    tries: int = 0
    refusals: int = 0
    since: datetime | None = None
    due: datetime | None = None
    told: bool = False


@dataclass
class _Held:
    """One held partition: work by offset, in order; `end` is past the newest, `done` is what the group committed."""

    done: int
    end: int = 0
    works: dict[int, Work] = field(default_factory=dict)


class Reactor:
    """Does what the valid events of the own journal ask for outside."""

    def __init__(  # noqa: PLR0913 -- what it stands between
        self,
        effects: Mapping[type[Event], Effect],
        log: Log,
        group: str,
        *,
        hands: Executor,
        wall: Callable[[], datetime],
        metrics: Metrics,
        tell: Tell,
    ) -> None:
        """Nothing is held yet."""
        self.effects = effects
        self.log = log
        self.group = group
        self.hands = hands
        self.wall = wall
        self.metrics = metrics
        self.tell = tell
        self.held: dict[Place, _Held] = {}
        self.running: tuple[Place, int, Future[None]] | None = None

    def hold(self, place: Place) -> None:
        """From now on the work of this partition of the journal is ours, from the oldest that is not done."""
        if self.effects:
            self.held[place] = _Held(self.log.committed(self.group, [place])[place])

    def let_go(self, place: Place) -> None:
        """The partition is somebody else's, who begins where we committed."""
        self.held.pop(place, None)
        self._count()

    def add(self, place: Place, offset: int, event: Event) -> None:
        """Note a valid event; one that asks for nothing, or for what was done before, is left out."""
        held = self.held.get(place)
        if held is not None and type(event) in self.effects and offset >= held.done:
            held.works[offset], held.end = Work(event), offset + 1
            self._count()

    def step(self) -> bool:
        """Begin what is due, take note of what has ended; whether there was either. Never waits."""
        began = self.running is None and self._begin()
        return self._end() or began

    def close(self) -> None:
        """Wait for nothing: what is being done is done again by the next holder."""
        self.hands.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> bool:
        now = self.wall()
        found = next((one for one in self._first() if one[2].due is None or one[2].due <= now), None)
        if found is None:
            return False
        place, offset, work = found
        work.tries, work.since = work.tries + 1, work.since or now
        self.running = (place, offset, self.hands.submit(self.effects[type(work.event)], work.event))
        return True

    def _first(self) -> Iterator[tuple[Place, int, Work]]:
        """The oldest work of each model."""
        models = set()
        for place, held in self.held.items():
            for offset, work in held.works.items():
                if work.event.model not in models:
                    models.add(work.event.model)
                    yield place, offset, work

    def _end(self) -> bool:
        if self.running is None or not self.running[2].done():
            return False
        (place, offset, future), self.running = self.running, None
        held = self.held.get(place)
        work = held.works.get(offset) if held else None
        if held is None or work is None:
            return True  # the partition was lost meanwhile
        error = future.exception()
        if error is None or self._passed_over(work, error):
            self._done(place, held, offset)
        return True

    def _done(self, place: Place, held: _Held, offset: int) -> None:
        """Commit up to the oldest work that is left."""
        del held.works[offset]
        self._count()
        end = min(held.works, default=held.end)
        if end > held.done:
            held.done = end
            self.log.commit_as(self.group, {place: end})

    def _passed_over(self, work: Work, error: BaseException) -> bool:
        """Note a failure; whether it is the last: what says no is given up, what is away never."""
        now, event, why = self.wall(), work.event, _why(error)
        work.due = now + timedelta(seconds=min(LAST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (work.tries - 1)))
        work.refusals += isinstance(error, InvalidError)
        with about(event):
            logger.warning("effect_failed", type=event.TYPE, tries=work.tries, why=why)
        if work.refusals >= MOST_REFUSALS:
            self.tell(event, why, for_good=True)
            return True
        if not work.told and work.since is not None and (now - work.since).total_seconds() >= LATE_S:
            work.told = True
            self.tell(event, why, for_good=False)
        return False

    def _count(self) -> None:
        if self.effects:
            self.metrics.set("everloop_effects_waiting", sum(len(held.works) for held in self.held.values()))


def _why(error: BaseException) -> str:
    """Our own errors speak for themselves; of others only kind and place are told, their text may quote rows."""
    if isinstance(error, EverloopError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
