"""`loop.overhead`: from an episode of drift in the log to the version that answers it, less the seconds of the job.

The real stack, with all its processes. Rows and labels are in, the archive of the windows before is written; then the
model's clock moves once a second, as ingest moves the clock of all, until the version is there. The times are Kafka's
append times.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, TypeVar

import orjson

from benchmarks.figures import Measured, Say, Size
from benchmarks.loop.world import course
from benchmarks.repeats import repeats
from benchmarks.stack.running import stack
from everloop import topics
from everloop.errors import FatalError
from everloop.events import (
    ClockMoved,
    Episode,
    Event,
    ModelVersionCreated,
    TrainingSpec,
    TrainingStarted,
    TurnOpened,
    WindowJudged,
)
from everloop.local.state import Stack
from everloop.replay.connecting import connected
from everloop.replay.course import Leg
from everloop.replay.lockstep import Client, LockStep, publish_on
from everloop.replay.play import Play, moment
from everloop.replay.served import Served
from everloop.replay.watching import Follower
from everloop.runtime.journal import Validity
from everloop.runtime.log import Log, Place
from everloop_trainer.handlers import JOBS

E = TypeVar("E", bound=Event)
TICK_S: Final = 1.0
LOOK_EVERY_S: Final = 0.05
MOST_TICKS: Final = 120


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds: until the turn was opened, until its run started, of the run beyond its job, of the job; the peer's."""

    hearing: float
    starting: float
    running: float
    job: float
    by_hand: float

    @property
    def overhead(self) -> float:
        """From the episode to the version, less the job."""
        return self.hearing + self.starting + self.running


def measure(size: Size, say: Say) -> Measured:
    """Seconds beyond the job: of the loop, and of the same job by hand."""
    with tempfile.TemporaryDirectory() as scratch, stack(Path(scratch, "var")) as running:
        turns = repeats(size.of(5, 1), lambda number: _turn(running, f"bench-{number}", Path(scratch)), say)
    return Measured(
        ours=tuple(turn.overhead for turn in turns),
        peer=tuple(turn.by_hand for turn in turns),
        also={
            "s to open the turn": median(turn.hearing for turn in turns),
            "s to start the run": median(turn.starting for turn in turns),
            "s of the run beyond the job": median(turn.running for turn in turns),
            "s of the job": median(turn.job for turn in turns),
        },
    )


def _turn(running: Stack, model: str, scratch: Path) -> Turn:
    """One model, from its first champion to the successor that the drift asks for."""
    names, served, played = [process.name for process in running.processes], Served(model), course(model)
    with connected(running.broker, running.urls, names, served.hear) as client:
        play = Play(played, LockStep(model, client), served)
        play.first_champion()
        calm, moved, *_ = played.legs()
        play.lock.step(moment(calm.until), calm.rows, [calm.labels])
        play.lock.feed(moved.rows, [moved.labels])
        _tick_until_created(client, served, moved)
        return _told(client.log, model, running.var, scratch)


def _tick_until_created(client: Client, served: Served, leg: Leg) -> None:
    """Move both clocks to the end of the window, then tick once a second."""
    model, until = served.model, moment(leg.until)
    before = len(_of(served.events, ModelVersionCreated))
    for number in range(MOST_TICKS):
        name = f"{model}/bench/{number}"
        publish_on(
            client.log, topics.CLOCK, ClockMoved.named(name, until, model, data=until, control=until, round=number)
        )
        next_tick = time.monotonic() + TICK_S
        while time.monotonic() < next_tick:
            client.journals.news()
            if len(_of(served.events, ModelVersionCreated)) > before:
                return
            time.sleep(LOOK_EVERY_S)
    raise FatalError(f"{model}: no version came of the drift in {MOST_TICKS} ticks")


def _told(log: Log, model: str, var: Path, scratch: Path) -> Turn:
    """What the log says of the turn that was opened last, and the same job by hand."""
    said = list(_journals(log, model))
    episode = next(at for event, at in said if isinstance(event, WindowJudged) and event.episode is Episode.OPENED)
    opened, started, created = (_last(said, kind) for kind in (TurnOpened, TrainingStarted, ModelVersionCreated))
    version, run = created[0], started[0]
    if not isinstance(version, ModelVersionCreated) or not isinstance(run, TrainingStarted) or opened[1] < episode:
        raise FatalError(f"{model}: the version that came last is not the answer to the episode")
    return Turn(
        hearing=opened[1] - episode,
        starting=started[1] - opened[1],
        running=created[1] - started[1] - version.seconds,
        job=version.seconds,
        by_hand=by_hand(run.spec, var, scratch),
    )


def _journals(log: Log, model: str) -> Iterator[tuple[Event, float]]:
    """The valid records of the model on `drift` and `training`, each with the second in which it was appended."""
    follower, validity = Follower(log, [topics.DRIFT.name, topics.TRAINING.name]), dict[Place, Validity]()
    for record in follower.news():
        event = validity.setdefault(record.place, Validity()).accept(record)
        if event is not None and event.model == model:
            yield event, record.appended_ms / 1000
    follower.close()


def by_hand(spec: TrainingSpec, var: Path, scratch: Path) -> float:
    """Run the job of a turn again as one process, as a person may; its seconds beyond those that it counts itself."""
    asked, result = scratch / "spec.json", scratch / "result.json"
    asked.write_bytes(spec.model_dump_json().encode())
    result.unlink(missing_ok=True)
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", JOBS[TrainingStarted], str(asked), str(result)],
        env={**os.environ, "EVERLOOP_VAR": str(var), "OMP_NUM_THREADS": "1"}, capture_output=True, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - began
    said = orjson.loads(result.read_bytes())
    if not said["ok"]:
        raise FatalError(f"the job by hand failed: {said['error']}")
    return seconds - float(said["result"]["seconds"])


def _last(said: list[tuple[Event, float]], kind: type[Event]) -> tuple[Event, float]:
    return next(one for one in reversed(said) if isinstance(one[0], kind))


def _of(events: list[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]
