"""The part of docs/drift.md on diagnoses: the kinds, the library of faults, and what is said of each fault."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from everloop.diagnoses import SORTS, Kind
from everloop.docs.text import table
from everloop.faults import FAULTS
from everloop_drift.domain.diagnosis import broken, skew, stale, units, world
from tests.unit.drift.diagnosed import a_run, forget, verdict

Runs = Mapping[tuple[str, str], int]
"""Runs by fault and what was said of it."""
SEEDS: Final = 10
NONE: Final = "none"
ROW: Final = re.compile(r"^\| `(\w+)` \| .+ \| \w+ \| ((?:\w+ \d+(?:, )?)+) \|$", re.MULTILINE)

INTRODUCTION: Final = """\
`diagnosis` of [`WindowJudged`](events.md#ioeverloopwindowjudgedv1) says what kind of change a window shows, in which
columns, and by which evidence: each with the value and the limit that it passed. The rules are told apart by one
thought: the world moves many columns mildly, a pipe moves few of them absurdly and all at once. So the judge remembers
what a column was like in the last window without a fault. A date is always beyond its reference, an hour of the day
stands still in every window, and neither is a fault. `everloop drift MODEL` says the kind and its evidence, of the
inputs and of the labels, and of each episode the kind that its last window showed."""

RULES: Final[Mapping[Kind, str]] = {
    "missing_spike": f"the share of values in no bin rose by {broken.MISSING:g} or more",
    "unit_change": (
        f"mean and deviation went by one factor of at least {units.SCALE:g} (the coefficient of variation is kept), as "
        f"a known conversion says, or to the mirror image; or the mean is {units.BEYOND:g} deviations away; or "
        f"{units.OUT:.0%} of the values leapt out of the range. And half of the columns that moved look so"
    ),
    "constant": (
        f"one value, in a column whose last window varied; not by chance (below {broken.CHANCE:g}), and not a value "
        "that the reference often has"
    ),
    "schema": f"verdict `schema_drift`; or {broken.STRANGE:.0%} of a column's categories are new at once",
    "stale_feed": (
        "mean, deviation and PSI of the window before, to five digits, in a column that used to change; or half of the "
        f"columns fill only every other bin (`stale.HOLLOW`, {stale.HOLLOW:g})"
    ),
    "train_serve_skew": (
        f"a first version's windows from its first on: in half of the columns {skew.OUTSIDE:.0%} of the values lie "
        f"where the reference had none, or the scores have a PSI of {skew.SCORES:g} that no column explains"
    ),
    "covariate_shift": "the window has drifted, and nothing above is the cause; quality that fell meanwhile",
    "prior_shift": (
        f"odds of a positive label other by half, and by {world.SIGNIFICANT:g} standard errors, than those of the "
        "holdout and those that the same rows' scores say; quality holds"
    ),
    "concept_change": (
        f"quality fell, and detectors heard errors grow; or it fell by {world.COLLAPSE:g} times its limit while the "
        "inputs are as ever"
    ),
    "season": "drifted against the whole reference, not against that of this time of the day or week",
    "quality_loss": "quality fell, and none of the above",
}

CONSEQUENCES: Final = """\
**Only what a successor can learn wakes the trainer.** A window with broken data has the verdict `data_fault`: it is
measured, and neither opens, continues nor closes an episode, whatever other columns do. What is true of them is true
of the next whole window. Labels of its rows come later, and count as little: neither for an episode of quality nor for
detectors. The fault opens with its first window, without `drift.confirm`, and ends with the first window that was
compared and does not show it. Until then the trainer opens no turn, and starts none that waits, for any cause of the
loop; `VetoNoted` in its journal says since when, and one that waits is skipped at its deadline. A person's
`everloop train` is not vetoed: who has looked at the data knows whether a change is meant, and the next version has it
in its reference. What the veto does not do: rows that came while a fault was open stay in the archive, and a later
training range may hold them. Take a range that begins after the fault, where it matters.

**One cause is one alert.** An episode or fault that opens while another one of the model is open belongs to the same
incident; detectors and measures never alert. One alert says that it began, with the diagnosis, and one that the last of
it is over. Only broken data that comes while episodes alone are open is told once more, as there is something to
repair; the incident then ends under that name. Both have the same `incident` in their details. A reference that is
invalid is no incident, and always told."""

LIBRARY: Final = f"""\
[`everloop.faults`](../shared/everloop/faults) is a labelled library of faults, each a pure function of rows and a seed.
Each was run {SEEDS} times through the real counting, judge and trainer: nine healthy windows of 600 rows, five with the
fault, four healthy ones, labels two windows later. The columns have a date, an hour and a count of few values among
them. *Said* is what most diagnosed windows of the fault said. No fault of the data may lead to a turn, and nothing
else be taken for broken data: a test holds that for one seed, `make soak` for thirty, and for worlds that move on."""

LIMITS: Final = """\
What the matrix shows plainly: a mild shift is often below the limits of drift, and then nothing is said. Labels with
noise are taken for a changed concept: from rows and labels alone the two are the same, P(y | x) is another. A column
that always stood still, a scale below 6.5 in one column, a sign that flips around zero, and a frozen feed before a
column was seen to change six times are not found."""


def runs() -> dict[tuple[str, str], int]:
    """What is said now."""
    counted: Counter[tuple[str, str]] = Counter()
    for seed in range(SEEDS):
        for name, fault in FAULTS.items():
            counted[name, verdict(fault, a_run(fault, seed))] += 1
        forget()
    return dict(counted)


def written(text: str) -> dict[tuple[str, str], int]:
    """What a page says was said."""
    section = text.partition("\n### A library of faults\n")[2].partition("\n## ")[0]
    return {
        (name, part.split()[0]): int(part.split()[1])
        for name, said in ROW.findall(section)
        for part in said.split(", ")
    }


def sections(said: Runs) -> tuple[str, ...]:
    """The part of the page, with these runs."""
    kinds = table(
        ("kind", "family", "learnt", "what it is", "when"),
        (
            (f"`{kind}`", sort.family, "yes" if sort.learnable else "no", sort.sentence, RULES[kind])
            for kind, sort in SORTS.items()
        ),
    )
    return (
        "## Diagnosis", INTRODUCTION, kinds, CONSEQUENCES, "### A library of faults", LIBRARY, _library(said),
        _matrix(said), LIMITS,
    )  # fmt: skip


def _library(said: Runs) -> str:
    def found(name: str) -> str:
        counts = sorted(((count, one) for (fault, one), count in said.items() if fault == name), reverse=True)
        return ", ".join(f"{one} {count}" for count, one in counts) or "?"

    return table(
        ("fault", "what it does", "right", "said"),
        ((f"`{name}`", one.sentence, one.kind or NONE, found(name)) for name, one in FAULTS.items()),
    )


def _matrix(said: Runs) -> str:
    """Rows: what is right; columns: what was said."""
    right: Counter[tuple[str, str]] = Counter()
    for (name, one), count in said.items():
        right[FAULTS[name].kind or NONE, one] += count
    names = [*SORTS, NONE]
    return table(
        ("right \\ said", *names),
        ((f"**{name}**", *(str(right[name, one] or "") for one in names)) for name in names),
    )
