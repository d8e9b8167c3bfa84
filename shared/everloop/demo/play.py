"""The play: rules, history, the first champion, then window after window, and one bad candidate in between."""

from __future__ import annotations

from typing import Final

from everloop.demo.scenario import FLIPPED, FLIPPED_AT, Scenario
from everloop.demo.view import Scene
from everloop.loop import Loop
from everloop.replay.commands import History, first_champion, request
from everloop.replay.lockstep import LockStep
from everloop.replay.rows import Labels

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
        """A version trained on the history. Raises `FatalError` without one."""
        self.scene.title = "first champion"
        rows = self.scenario.history()
        history = History(rows, rows.labelled(self.delay_ms), self.scenario.first, self.scenario.start)
        first_champion(self.lock, self.loop, history, BY)

    def window(self, number: int) -> None:
        """Rows of the window and the labels of the one before; its end and grace; decisions."""
        self.scene.begin(number)
        rows, until = self.scenario.window(number), self.scenario.end(number) + self.loop.windows.grace
        due, self.due = self.due, [rows.labelled(self.delay_ms)]
        if number == FLIPPED_AT:
            self.scene.say("bold", f"a person   everloop train {self.loop.model} --recipe {FLIPPED}")
            request(self.log, self.loop.model, self.lock.control or until, by=BY, recipe=FLIPPED)
        for labels in due:
            self.scene.learn(labels)
        self.lock.step(until, rows, due)
