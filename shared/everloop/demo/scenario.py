"""The fraud stream of `examples/` as rows, and its timetable."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import examples.fraud
from everloop.demo.summary import millis
from everloop.demo.timetable import Timetable
from everloop.replay.rows import Rows
from examples.fraud import stream

FLIPPED: Final = "examples.fraud.flipped:Recipe"
FLIPPED_AT: Final = 36
"""The window in which a person asks for the bad recipe: after the promotion, expected at 32."""
LOOP_FILE: Final = Path(examples.fraud.__file__).parent / "loop.yaml"


class Scenario:
    """The stream, window by window. Without `concept_change` nothing gets worse, and the demo has to fail."""

    def __init__(self, *, concept_change: bool = True) -> None:
        """Nothing is drawn yet."""
        usual = stream.Scenario()
        self.stream = usual if concept_change else replace(usual, concept_at=None)
        self.table = Timetable(
            start=millis(usual.start),
            every=usual.every // timedelta(milliseconds=1),
            stationary=usual.stationary,
            concept_at=usual.concept_at or usual.stationary,
            windows=usual.windows,
        )

    @property
    def start(self) -> datetime:
        """When window zero begins."""
        return self.stream.start

    @property
    def first(self) -> datetime:
        """When the history begins."""
        return self.start - self.stream.history_windows * self.stream.every

    def end(self, window: int) -> datetime:
        """When a window ends."""
        return self.start + (window + 1) * self.stream.every

    def history(self) -> Rows:
        """The rows that the first model learns from."""
        return _rows(stream.bootstrap_rows(self.stream))

    def window(self, number: int) -> Rows:
        """The rows of one window."""
        return _rows(stream.rows(self.stream, number))


def _rows(made: stream.Rows) -> Rows:
    return Rows(
        ids=tuple(made.ids),
        times=tuple(millis(time) for time in made.times),
        entities=tuple(made.entity),
        features={name: tuple(values) for name, values in made.columns.items()},
        labels=tuple(float(label) for label in made.labels),
    )
