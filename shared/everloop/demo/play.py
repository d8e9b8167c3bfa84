"""The play: rules, history, the first champion, then window after window, and one bad candidate in between."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from everloop import topics
from everloop.demo.scenario import FLIPPED, FLIPPED_AT, Scenario
from everloop.demo.view import Scene
from everloop.errors import FatalError
from everloop.events import LoopApplied, TrainingRequested
from everloop.loop import Loop, loop_digest
from everloop.replay.bootstrap import Bootstrap
from everloop.replay.lockstep import LockStep, publish_on
from everloop.replay.rows import Labels
from everloop.runtime.log import Log

BY: Final = "demo"


class Play:
    """One run of the scenario on one stack."""

    def __init__(self, loop: Loop, scenario: Scenario, lock: LockStep, scene: Scene) -> None:
        """Nothing is said yet."""
        self.loop = loop
        self.scenario = scenario
        self.lock = lock
        self.scene = scene
        self.log = lock.client.log
        self.delay_ms = round(loop.labels.delay.total_seconds() * 1000)
        self.due: list[Labels] = []

    def all(self) -> None:
        """Everything, in order."""
        self.first_champion()
        for number in range(self.scenario.table.windows):
            self.window(number)

    def first_champion(self) -> None:
        """The model's own clock, rules, history, and a version trained from it. Raises `FatalError` without one.

        The clock comes first: a control service that knew the model under the clock of all would not go back in time.
        """
        self.scene.title = "first champion"
        self.lock.begin(self.scenario.first)
        apply(self.log, self.loop)
        self.lock.client.quiescence.wait()
        rows = self.scenario.history()
        self.lock.history(rows, rows.labelled(self.delay_ms))
        told = Bootstrap(request(self.log, self.loop.model, self.scenario.first, bootstrap=True))
        self.scene.also = told.hear
        self.lock.step(self.scenario.start)
        if told.failure or not told.ended:
            raise FatalError(f"there is no first champion: {told.failure or told.stage}")

    def window(self, number: int) -> None:
        """Rows of the window and the labels of the one before; its end and grace; decisions."""
        self.scene.begin(number)
        rows, until = self.scenario.window(number), self.scenario.end(number) + self.loop.windows.grace
        due, self.due = self.due, [rows.labelled(self.delay_ms)]
        if number == FLIPPED_AT:
            self.scene.say("bold", f"a person   everloop train {self.loop.model} --recipe {FLIPPED}")
            request(self.log, self.loop.model, self.lock.control or until, recipe=FLIPPED)
        for labels in due:
            self.scene.learn(labels)
        self.lock.step(until, rows, due)


def apply(log: Log, loop: Loop) -> None:
    """Publish the rules of a model."""
    digest = loop_digest(loop)
    applied = LoopApplied.named(
        f"{loop.model}/{digest}", datetime.now(UTC), loop.model, loop=loop.to_payload(), digest=digest
    )
    publish_on(log, topics.LOOPS, applied)


def request(log: Log, model: str, now: datetime, *, recipe: str | None = None, bootstrap: bool = False) -> UUID:
    """Ask for a training run, as `everloop train` and `everloop bootstrap` do; `now` is the model's control clock."""
    name = f"{model}/{BY}/{recipe}/{bootstrap}/{now.isoformat()}"
    asked = TrainingRequested.named(name, now, model, by=BY, recipe=recipe, bootstrap=bootstrap)
    publish_on(log, topics.COMMANDS, asked.model_copy(update={"correlation_id": asked.id}))
    return asked.id
