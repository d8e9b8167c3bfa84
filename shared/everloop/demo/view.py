"""The demo in a terminal: what is decided, who serves, and how well. Elsewhere one line per decision."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from everloop import events as e
from everloop.demo.served import auc
from everloop.demo.telling import Line, tell
from everloop.replay.rows import Labels
from everloop.replay.watching import Said

LINES: Final = 16
BAR: Final = 30


@dataclass
class Scene:
    """What is to be seen now. Windows are counted from zero, as in the summary."""

    console: Console
    windows: int
    title: str = "starting"
    window: int = -1
    lines: deque[Line] = field(default_factory=lambda: deque[Line](maxlen=LINES))
    rows: dict[str, int] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)
    scores: dict[str, tuple[str, float]] = field(default_factory=dict)

    def begin(self, window: int) -> None:
        """A window starts: its traffic is counted anew."""
        self.window, self.rows = window, {}
        self.title = f"window {window:2} of {self.windows}"

    def hear(self, event: e.Event) -> None:
        """A decision was made."""
        line = tell(event)
        if line is not None:
            self.say(*line)

    def see(self, said: Said) -> None:
        """Rows were served."""
        if said.version is None:
            return
        self.rows[said.version] = self.rows.get(said.version, 0) + len(said.ids)
        for name, score in zip(said.ids, said.scores, strict=True):
            if score is not None:
                self.scores[name] = (said.version, score)

    def learn(self, labels: Labels) -> None:
        """Labels came: quality of each version on these rows."""
        by_version: dict[str, tuple[list[float], list[float]]] = {}
        for name, label in zip(labels.ids, labels.labels, strict=True):
            version, score = self.scores.pop(name, (None, 0.0))
            if version is not None:
                scores, truth = by_version.setdefault(version, ([], []))
                scores.append(score)
                truth.append(label)
        measured = {version: auc(scores, truth) for version, (scores, truth) in by_version.items()}
        self.quality = {version: value for version, value in measured.items() if value is not None}

    def say(self, style: str, text: str) -> None:
        """One more line."""
        self.lines.append((style, text))
        if not self.console.is_terminal:
            self.console.print(Text(f"{self.title:16} {text}"), soft_wrap=True)

    def __rich__(self) -> Group:
        """What is drawn."""
        said = [Text(text, style=style, overflow="ellipsis", no_wrap=True) for style, text in self.lines]
        progress = Text("█" * round(BAR * (self.window + 1) / max(1, self.windows)), style="cyan")
        return Group(
            Text(f"everloop demo   {self.title}", style="bold"), progress, arms(self.rows, self.quality), *said
        )


def arms(rows: Mapping[str, int], quality: Mapping[str, float]) -> Table:
    """Traffic of this window, and quality on the labels that came last, by version."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("version", "traffic", "", "AUC on the newest labels"):
        table.add_column(name)
    total = sum(rows.values()) or 1
    for version in sorted({*rows, *quality}):
        share = rows.get(version, 0) / total
        measured = f"{quality[version]:.3f}" if version in quality else "–"
        table.add_row(version, f"{share:.0%}", Text("▇" * round(BAR * share), style="cyan"), measured)
    return table


@contextmanager
def shown(scene: Scene) -> Iterator[None]:
    """Draw the scene while the block runs, on a terminal."""
    if not scene.console.is_terminal:
        yield
        return
    with Live(scene, console=scene.console, refresh_per_second=5):
        yield
