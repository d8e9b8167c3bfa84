"""What `everloop drift` says of the kind of a change: which, what that is, and by which evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from everloop.events import Diagnosis, Evidence, WindowJudged

MOST: Final = 5
"""Pieces of evidence in a line; all of them are in the data."""


def diagnosis_lines(window: WindowJudged | None, outcome: WindowJudged | None) -> Iterator[str]:
    """A line for what the inputs show, and one for what the labels show, each where it was diagnosed."""
    from everloop.story import moment

    if window is not None and window.diagnosis is not None:
        yield f"diagnosis: {diagnosed(window.diagnosis)}"
    if outcome is not None and outcome.diagnosis is not None:
        when = f"{moment(outcome.start)} to {moment(outcome.end)}"
        yield f"diagnosis by labels of {when}: {diagnosed(outcome.diagnosis)}"


def diagnosed(one: Diagnosis) -> str:
    """The kind, its sentence, and the strongest evidence."""
    from everloop.diagnoses import SORTS

    more = f", and {len(one.evidence) - MOST} more" if len(one.evidence) > MOST else ""
    found = ", ".join(map(_piece, one.evidence[:MOST]))
    return f"{one.kind}, {SORTS[one.kind].sentence}" + (f": {found}{more}" if found else "")


def diagnosis_value(window: WindowJudged | None) -> dict[str, object] | None:
    """The same as data, with all evidence that is known."""
    if window is None or window.diagnosis is None:
        return None
    return window.diagnosis.model_dump(mode="json")


def outcome_value(outcome: WindowJudged | None) -> dict[str, object] | None:
    """The window of outcomes, its verdict and its diagnosis."""
    from everloop.story import moment

    if outcome is None:
        return None
    named = {"start": moment(outcome.start), "end": moment(outcome.end), "version": outcome.version}
    return {**named, "verdict": outcome.verdict, "diagnosis": diagnosis_value(outcome)}


def _piece(one: Evidence) -> str:
    from everloop.cli.drift import plain
    from everloop.story import number

    limit = "" if one.limit is None else f" (limit {number(one.limit)})"
    return plain(f"{one.name} {one.test} {number(one.value)}{limit}")
