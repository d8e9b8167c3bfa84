"""Choose the diagnosis of a window: broken data first, since it explains all the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from everloop import diagnoses
from everloop.events import (
    ArmWindow,
    Detection,
    Diagnosis,
    Evidence,
    Measure,
    MeasureTable,
    QualityMeasure,
    WindowClosed,
    WindowVerdict,
)
from everloop.loop import Loop
from everloop.sketch import Labelled
from everloop_drift.domain.diagnosis import broken, skew, stale, units, world
from everloop_drift.domain.diagnosis.columns import Column, columns_of, diagnosis
from everloop_drift.domain.diagnosis.memory import Memory

Rule = Callable[[Sequence[Column]], Iterator[Evidence]]
RULES: Final[Sequence[tuple[diagnoses.Kind, Rule]]] = (
    ("missing_spike", broken.missing),
    ("unit_change", units.changed_unit),
    ("constant", broken.constant),
    ("schema", broken.encoding),
    ("stale_feed", stale.hollow),
)
"""In this order: a column beyond all bins has no deviation that could be seen, and is no constant."""
COMPARED: Final = frozenset({"stable", "drifted", "reference_warming"})
FEWEST: Final = 30
"""Rows below which chance is as absurd as any pipe."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A window as it was judged by its limits, of one arm: the verdict, and all that was measured."""

    window: WindowClosed
    arm: ArmWindow
    verdict: WindowVerdict
    measures: Sequence[Measure]
    figures: MeasureTable
    quality: Mapping[str, QualityMeasure]
    detections: Sequence[Detection]


def diagnose(memory: Memory, seen: Seen, loop: Loop, *, first: bool) -> Diagnosis | None:
    """Diagnose a window; None where there is nothing to tell. `first`: no version served before this one."""
    if seen.window.kind == "outcomes":
        return _outcomes(memory, seen)
    if seen.verdict not in COMPARED:
        return None
    known, arm = memory.of(seen.arm.version), seen.arm
    windows = arm.columns if arm.rows >= FEWEST else ()
    columns = columns_of(windows, seen.figures, known.usual, known.before, known.changes)
    overlaps = seen.window.start < known.end
    for kind, found in _broken(columns, seen.figures, overlaps=overlaps, new=first and _new(known)):
        if found:
            return diagnosis(kind, found)
    if seen.verdict == "drifted":
        return diagnosis("covariate_shift", world.shifted(seen.measures))
    season = tuple(world.seasonal(arm, loop)) if seen.verdict == "stable" else ()
    return diagnosis("season", season) if season else None


def _outcomes(memory: Memory, seen: Seen) -> Diagnosis | None:
    """Rows whose inputs were broken say nothing about the world."""
    if seen.verdict not in {"stable", "drifted", "no_reference"}:
        return None
    kinds = tuple(memory.kinds(seen.window.start, seen.window.end))
    spoiled = next((kind for kind in kinds if diagnoses.is_broken(kind)), None)
    if spoiled:
        return diagnosis(spoiled, [Evidence(name="inputs", test="diagnosis", value=spoiled)], named=False)
    if seen.verdict == "drifted":
        return _fallen(memory, seen, drifted="covariate_shift" in kinds)
    labels = Labelled.from_plain(seen.arm.quality) if seen.verdict == "stable" and seen.arm.quality else None
    moved = tuple(world.prior(labels, seen.quality, seen.arm.reference_quality)) if labels else ()
    return diagnosis("prior_shift", moved, named=False) if moved else None


def _fallen(memory: Memory, seen: Seen, *, drifted: bool) -> Diagnosis:
    """Why quality fell: errors that began to grow, or a collapse, are a new bond between inputs and labels."""
    fell = tuple(world.fallen(seen.measures))
    fired = tuple(world.heard(seen.detections or memory.of(seen.arm.version).fired))
    if fired or (world.collapsed(fell) and not drifted):
        return diagnosis("concept_change", (*fell, *fired), named=False)
    return diagnosis("covariate_shift" if drifted else "quality_loss", fell, named=False)


def _broken(
    columns: Sequence[Column], figures: MeasureTable, *, overlaps: bool, new: bool
) -> Iterator[tuple[diagnoses.Kind, tuple[Evidence, ...]]]:
    """Each kind of broken data with its evidence, most telling first."""
    if new:
        yield "train_serve_skew", tuple(skew.skewed(columns, figures.of(figures.score)))
    yield "stale_feed", tuple(stale.repeated(columns, overlaps=overlaps))
    for kind, rule in RULES:
        yield kind, tuple(rule(columns))


def _new(memory: Memory) -> bool:
    """Whether no window was compared yet, or all of them were skewed as well: what begins later is no skew."""
    skewed = [one for one in memory.spans if one.kind == "train_serve_skew"]
    return memory.judged == 0 or bool(skewed and skewed[-1].end == memory.end)
