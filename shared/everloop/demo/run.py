"""`everloop demo`: a fresh stack, the play, the summary from the topics, the picture, and what is still up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from everloop.demo.books import recount, unbalanced
from everloop.demo.picture import page
from everloop.demo.play import Play
from everloop.demo.reading import read_history
from everloop.demo.scenario import FLIPPED, LOOP_FILE, Scenario
from everloop.demo.series import series
from everloop.demo.stack import REPORT, SUMMARY, fresh_stack
from everloop.demo.summary import Summary, failures, summarise
from everloop.demo.view import Scene, shown
from everloop.local.files import write_atomically
from everloop.local.lifecycle import stop
from everloop.local.paths import Var
from everloop.local.state import Stack
from everloop.loop import Loop
from everloop.loopfile import read_loop
from everloop.replay.connecting import connected
from everloop.replay.lockstep import Client, LockStep


@dataclass(frozen=True, slots=True)
class Demo:
    """What a person chose. `concept_change` is left out by the test that the demo can fail."""

    root: Path
    console: Console
    concept_change: bool = True

    def run(self) -> list[str]:
        """Play it all; the conditions that were not met. On a terminal the stack stays, else it is stopped."""
        began = time.monotonic()
        loop = read_loop(LOOP_FILE.read_text("utf-8"), str(LOOP_FILE))
        scenario = Scenario(concept_change=self.concept_change)
        with fresh_stack(self.root, self.console) as stack:
            summary, failed = self._play(stack, loop, scenario, began)
        say(self.console, summary, failed)
        self._leave(stack)
        return failed

    def _play(self, stack: Stack, loop: Loop, scenario: Scenario, began: float) -> tuple[Summary, list[str]]:
        scene = Scene(self.console, scenario.table.windows)
        names = [process.name for process in stack.processes]
        with connected(stack.broker, stack.urls, names, scene.hear, scene.see, tokens=stack.tokens) as client:
            with shown(scene):
                Play(loop, scenario, LockStep(loop.model, client), scene).all()
            return self._report(client, loop.model, scenario, began)

    def _report(self, client: Client, model: str, scenario: Scenario, began: float) -> tuple[Summary, list[str]]:
        """From here on only the topics speak."""
        history, wrong = read_history(client.log, model), unbalanced(recount(client.log))
        for one in wrong:
            self.console.print(
                f"books of {one.place.topic}[{one.place.partition}]: {one.booked}, recounted {one.recounted}"
            )
        seconds = time.monotonic() - began
        summary = summarise(history, scenario.table, FLIPPED, seconds=seconds, balanced=not wrong)
        failed = failures(summary)
        write_atomically(self.root / SUMMARY, orjson.dumps(summary.to_plain(), option=orjson.OPT_INDENT_2))
        write_atomically(self.root / REPORT, page(series(history, scenario.table), summary, failed).encode())
        return summary, failed

    def _leave(self, stack: Stack) -> None:
        self.console.print(f"summary   {self.root / SUMMARY}\npicture   {self.root / REPORT}", soft_wrap=True)
        if not self.console.is_terminal:
            stop(Var(self.root))
            self.console.print("the stack is stopped")
            return
        for name, url in {"kafka": stack.broker, **stack.urls}.items():
            self.console.print(f"{name:9} {url}")
        self.console.print(f"stop it with: everloop down --var {self.root}", soft_wrap=True)


def say(console: Console, summary: Summary, failed: list[str]) -> None:
    """The summary as a table, then what was not met."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for key, value in summary.to_plain().items():
        table.add_row(key, shown_value(value))
    console.print(table)
    for sentence in failed:
        console.print(f"[bold red]✗[/] {sentence}", highlight=False)
    if not failed:
        console.print("[bold green]✓[/] every condition of the demo was met", highlight=False)


def shown_value(value: object) -> str:
    """A value of the summary on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown_value(found)}" for key, found in value.items())
    if isinstance(value, tuple | list):
        return " ".join(map(shown_value, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
