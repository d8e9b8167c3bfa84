"""The part of docs/drift.md about how long a change goes unseen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from everloop.docs.text import table
from tests.docs.pages import ROOT

KEPT: Final = ROOT / "docs/drift-delay.json"
SIDES: Final = {"ours": "Everloop", "evidently": "Evidently's statistic", "adwin": "ADWIN"}
DELAY: Final = """\
How many windows pass from the first changed one, which counts as 1, until a change is found. Three sides hear the same
rows, 200 an hour, six columns of numbers and two of categories, of which a change moves four (the means of two, the
spread of one, the mix of one): the statistic of a budget of false alarms without confirmation; per window the largest
normed Wasserstein (numbers) or Jensen-Shannon distance (categories), which is what Evidently takes by default for a
reference of more than 1,000 rows, by our functions that the tests of parity hold to it; a bare ADWIN of River's per
column, which hears every row. The threshold of each is tuned on streams of their own in which nothing changes, to one
alarm in 500 windows; for the seasonal cells on streams with that season. Small, medium and large are 0.15, 0.3 and 0.6
deviations. A change that is not found within 96 windows counts as 96. Gradual and incremental changes take 24 windows
to be whole, recurring ones last 12 and come back after 12. `python -m benchmarks.drift.delay` measures it anew."""


def figures() -> dict[str, Any]:
    """What was measured."""
    found: dict[str, Any] = json.loads(KEPT.read_text("utf-8"))
    return found


def firsts(cell: dict[str, Any]) -> list[str]:
    """Whose mean delay is the shortest; several where they are the same."""
    best = min(cell["mean"].values())
    return [side for side in SIDES if cell["mean"][side] == best]


def delays() -> str:
    """The table: mean delay, the shortest in bold, and how often the change was found where that was not always."""
    rows = []
    for cell in figures()["cells"]:
        best, seeds = firsts(cell), cell["seeds"]
        said = []
        for side in SIDES:
            mean, found = f"{cell['mean'][side]:g}", cell["found"][side]
            said.append(
                (f"**{mean}**" if side in best else mean) + ("" if found == seeds else f" ({found} of {seeds})")
            )
        rows.append((f"{cell['kind']}, {cell['size']}", *said))
    return table(("change", *SIDES.values()), rows)


def summary() -> str:
    """In how many cells who is first, and the false alarms on streams that nobody was tuned on."""
    known = figures()
    alone = [firsts(cell) for cell in known["cells"]]
    first = {side: sum(best == [side] for best in alone) for side in SIDES}
    tied = sum("ours" in best and len(best) > 1 for best in alone)
    quiet = "; ".join(
        f"{name}: " + ", ".join(f"{SIDES[side]} {count}" for side, count in counts.items())
        for name, counts in (("without a season", known["quiet"]["abrupt"]), ("with one", known["quiet"]["seasonal"]))
    )
    return (
        f"Of {len(alone)} cells Everloop is first alone in {first['ours']} and ties in {tied}, ADWIN is first alone in "
        f"{first['adwin']}, Evidently's statistic in {first['evidently']}. {_behind(known['cells'])} Where nothing "
        f"changes, on 12 other streams of 500 windows each (12 alarms are meant): {quiet}. A change that moves one "
        "column alone has less to add up than these; the table of what a budget finds, above, is of such ones."
        "\n\n![Delay by cell](drift-delay.svg)"
    )


def _behind(cells: Sequence[dict[str, Any]]) -> str:
    """Where it is not first, and by how much."""
    found = [
        f"{cell['kind']}, {cell['size']} ({cell['mean']['ours'] - min(cell['mean'].values()):.2g} windows later)"
        for cell in cells if "ours" not in firsts(cell)
    ]  # fmt: skip
    return f"Everloop is not first in: {'; '.join(found)}." if found else "In no cell is another before it."
