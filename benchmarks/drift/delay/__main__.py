"""Measure, and write the figures and their picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from benchmarks.drift.delay.measuring import SIDES, cell, proven, thresholds
from benchmarks.drift.delay.picture import picture
from benchmarks.drift.delay.streams import KINDS, SIZES

FIGURES: Final = Path("docs", "drift-delay.json")
PICTURE: Final = Path("docs", "drift-delay.svg")


def main() -> None:
    """All cells. Streams without a season are the same for four of the kinds, and are tuned on once."""
    plain, seasonal = thresholds("abrupt", say), thresholds("seasonal", say)
    levels = {kind: seasonal if kind == "seasonal" else plain for kind in KINDS}
    quiet = {kind: proven(kind, levels[kind]) for kind in ("abrupt", "seasonal")}
    say(f"alarms where nothing changes: {quiet}")
    cells = []
    for kind in KINDS:
        for size in SIZES:
            cells.append(cell(kind, size, levels[kind]))
            say(f"{kind}, {size}: {cells[-1]['mean']}")
    figures = {"sides": SIDES, "thresholds": {"plain": plain, "seasonal": seasonal}, "quiet": quiet, "cells": cells}
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    PICTURE.write_text(picture(cells), "utf-8")


def say(words: str) -> None:
    """Progress, for a person."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
