"""Hurting a running stack: processes by name, a plan of who is hurt when, and a client that asks again."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import psutil
from kafka import KafkaAdminClient

from everloop.buckets import partition
from everloop.errors import FatalError
from everloop.events import Event
from everloop.local.paths import Var
from everloop.local.state import Stack, read_stack
from everloop.replay.lockstep import Door
from everloop.replay.quiescence import Patience
from everloop.replay.rows import Labels, Rows
from everloop.replay.watching import Said
from everloop.topics import PARTITIONS

PATIENCE_S = 120.0
PAUSE_S = 0.1
STOOD_STILL_S = 9.0
"""Longer than the session of a member (6 s): the group has gone on without it."""
ROOMS = {"trainer": "trainer", "gatekeeper": "gatekeeper", "rollout": "rollout", "drift-judge": "drift.judge"}


class Processes:
    """The processes of one stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.asleep: list[threading.Timer] = []
        self.hurt: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self.asleep:
            timer.join()
        with warnings.catch_warnings():  # kafka-python leaves a socket behind for each connection that is refused
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def pid(self, name: str) -> int:
        """Of a process that runs now; one that is being started again is waited for."""
        latest = time.monotonic() + PATIENCE_S
        while time.monotonic() < latest:
            now = read_stack(Var(self.stack.var))
            found = now.process(name).pid if now else None
            if found and psutil.pid_exists(found):
                return found
            time.sleep(PAUSE_S)
        raise AssertionError(f"{name} does not come back")

    def restarts(self) -> dict[str, int]:
        """How often each was started again."""
        now = read_stack(Var(self.stack.var))
        return {process.name: process.restarts for process in now.processes} if now else {}

    def kill(self, *names: str) -> None:
        """`kill -9`, all of them in one breath."""
        pids = {name: self.pid(name) for name in names}
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        self.hurt += names

    def kill_holder(self, service: str, model: str) -> None:
        """`kill -9` the replica that decides for this model."""
        self.kill(self.holder(service, model))

    def kill_job(self, service: str) -> None:
        """`kill -9` the child in which one of the replicas works; its parent lives on."""
        latest = time.monotonic() + PATIENCE_S
        while time.monotonic() < latest:
            for name in (service, f"{service}-1"):
                jobs = psutil.Process(self.pid(name)).children()
                if jobs:
                    jobs[0].kill()
                    self.hurt.append(f"job of {name}")
                    return
            time.sleep(0.01)
        raise AssertionError(f"{service} starts no job")

    def stand_holder_still(self, service: str, model: str) -> None:
        """Let the replica that decides for this model stand still."""
        self.stand_still(self.holder(service, model))

    def stand_still(self, name: str) -> None:
        """SIGSTOP past its session, so that its group goes on without it; then let it finish what it began."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        timer = threading.Timer(STOOD_STILL_S, os.kill, (pid, signal.SIGCONT))
        timer.start()
        self.asleep.append(timer)
        self.hurt.append(f"zombie {name}")

    def holder(self, service: str, model: str) -> str:
        """The name of the replica that holds the model's partition of the service's journal."""
        group, home = f"everloop.{ROOMS[service]}", partition(model, PARTITIONS)
        admin = KafkaAdminClient(bootstrap_servers=self.stack.broker)
        try:
            members = admin.describe_groups([group])[group]["members"]
        finally:
            admin.close()
        for member in members:
            held = member["member_assignment"]["assigned_partitions"]
            if any(home in topic["partitions"] for topic in held):
                ordinal = member["group_instance_id"].rsplit(".", 1)[1]
                return service if ordinal == "0" else f"{service}-{ordinal}"
        raise AssertionError(f"nobody holds {model} in {group}")


Act = Callable[[], None]


@dataclass
class Plan:
    """Who is hurt when, each once.

    `on`: at the n-th journal event of a type; `at`: between the halves of a window's rows, when all is at rest; `amid`:
    when the first rows of the second half stand on `predictions`, so that whoever reads them is at work on them.
    """

    model: str
    on: Mapping[tuple[str, int], Act] = field(default_factory=dict)
    at: Mapping[int, Act] = field(default_factory=dict)
    amid: Mapping[int, Act] = field(default_factory=dict)
    heard: Counter[str] = field(default_factory=Counter)
    done: set[tuple[str, int]] = field(default_factory=set)
    half: int = -1

    def hear(self, event: Event) -> None:
        """A valid event of a journal."""
        name = type(event).__name__
        if event.model == self.model:
            self.heard[name] += 1
            self._do((name, self.heard[name]), self.on)

    def window(self, number: int) -> None:
        """Half of a window's rows are in."""
        self._do(("window", number), {("window", at): act for at, act in self.at.items()})
        self.half = number

    def see(self, said: Said) -> None:
        """Rows on `predictions`."""
        if said.model == self.model:
            self._do(("rows", self.half), {("rows", amid): act for amid, act in self.amid.items()})

    @property
    def left(self) -> set[tuple[str, int]]:
        """What never happened."""
        windows = {("window", number) for number in self.at} | {("rows", number) for number in self.amid}
        return (set(self.on) | windows) - self.done

    def _do(self, moment: tuple[str, int], acts: Mapping[tuple[str, int], Act]) -> None:
        if moment in acts and moment not in self.done:
            self.done.add(moment)
            acts[moment]()


class Steadfast(Patience):
    """Waits also for a broker that was killed: while it does not answer, nothing is at rest."""

    def until(self, missing: Callable[[], Sequence[str]], what: str) -> None:
        """As `Patience`, where no answer is as good as none yet."""

        def asked() -> Sequence[str]:
            try:
                return missing()
            except FatalError as error:
                return [str(error)]

        super().until(asked, what)


@dataclass
class Insistent:
    """A door whose caller asks again when nobody answers, as every producer must."""

    inner: Door
    refused: int = 0

    def predict(self, model: str, rows: Rows) -> None:
        """Ask until these rows are scored."""
        self._until(lambda: self.inner.predict(model, rows))

    def history(self, model: str, rows: Rows) -> None:
        """Ask until these rows are taken."""
        self._until(lambda: self.inner.history(model, rows))

    def label(self, model: str, labels: Labels) -> None:
        """Ask until these labels are taken."""
        self._until(lambda: self.inner.label(model, labels))

    def _until(self, ask: Callable[[], None]) -> None:
        latest = time.monotonic() + PATIENCE_S
        while True:
            try:
                ask()
            except FatalError:
                self.refused += 1
                if time.monotonic() > latest:
                    raise
                time.sleep(PAUSE_S)
            else:
                return
