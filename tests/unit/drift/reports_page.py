"""The section of docs/drift.md on full reports; `page` puts it into its place."""

from __future__ import annotations

from typing import Final

from everloop.docs.text import table
from everloop_drift.adapters.evidently_report import MOST_CATEGORIES
from everloop_drift.domain import multivariate, reporting

REPORTS: Final = f"""\
`drift-reports`, a process of its own, hears the judge's journal and writes the full report of a window: where an
episode of drift opened or closed, or of more windows, as `drift.reports` says. It is not started where its extra is
not installed (`everloop-drift[reports]`), nothing waits for it, and nothing else imports what it needs. It waits
until the archive has the window's rows, {reporting.WAIT.seconds // 3600} h at most, then starts a child process:
{reporting.TIMEOUT_S:.0f} s, {reporting.MEMORY_MB // 1024} GiB of address space, one thread, last in the queue for a
processor. What fails is tried once more; then [`ReportFailed`](events.md#ioeverloopreportfailedv1) says why, and an
alert does. One window has one [`ReportWritten`](events.md#ioeverloopreportwrittenv1), on `everloop.reports.v1`; at
most {reporting.MOST_PER_DAY} reports a day per model. `everloop reports MODEL` lists them, `--save DIR` copies the
newest.

Both sides are samples of at most {reporting.MOST_ROWS:,} rows, those with the smallest hash of their id, so that a
repeat has the same: the champion's rows in the window, and the newest rows before the cut of its training. Evidently
compares each column by the test and limit of the loop file (ks of a category is chi_square, chi_square of a number is
ks; wasserstein of a category is jensen_shannon) and shows both distributions. Its page loads nothing from elsewhere;
signs of markup in names and categories are replaced, since Evidently would hand them to the browser as they are. The
{MOST_CATEGORIES} most frequent categories are shown. A column that it cannot take is in `left_out` with the reason.

The event itself carries what no single column can show. It is evidence, and decides nothing; where rows of a window
hang together, both are too sure of themselves."""

AREA: Final = """\
area under the ROC curve of boosted trees that tell window from reference: one half of the rows teaches, the other \
measures; 0.5 is no difference. Interval at 95 %"""
ENERGY: Final = f"""\
energy distance of {multivariate.ENERGY_ROWS:,} rows of each side: numbers in standard deviations, \
{multivariate.CUT:.1%} at either end moved inwards, missing values and categories in dimensions of their own. p-value \
of {multivariate.PERMUTATIONS} permutations"""
NUMBERS: Final = table(
    ("number", "is", "source"),
    (
        ("`auc`", AREA, "Lopez-Paz & Oquab 2017; Rabanser et al. 2019; DeLong et al. 1988"),
        ("`energy`", ENERGY, "Székely & Rizzo 2013"),
    ),
)

PROMISED: Final = """\
One column's energy distance is that of `scipy.stats.energy_distance`, several columns' its definition, the area that of
sklearn, its variance DeLong's by all pairs; tests hold each. By simulation, three numbers and a category: when nothing
had changed, p ≤ 0.05 came in 4.95 % and p ≤ 0.01 in 0.8 % of 2,000 worlds of 40 rows a side; the interval of the area
lay above 0.5 in 1.8 % and below in 2.8 % of 1,000 worlds of 150 rows a side (2.5 % each are meant). With the five folds
of a cross-validation in place of the split the interval was 1.3 to 1.4 times too narrow, and lay above 0.5 in 6 to 8 %.

Two of the numbers are correlated in the window and not in the reference, while each column's distribution stays; how
often it was found in 40 worlds (area: interval above 0.5; energy: p ≤ 0.05):"""

POWER: Final = table(
    ("correlation", "area, 500 rows a side", "1,000", "5,000", "energy, 500 rows a side", "1,000 and more"),
    (
        ("0.2", "13 %", "10 %", "83 %", "5 %", "5 %"),
        ("0.3", "23 %", "40 %", "100 %", "13 %", "33 %"),
        ("0.5", "70 %", "100 %", "100 %", "63 %", "100 %"),
        ("0.8", "100 %", "100 %", "100 %", "100 %", "100 %"),
    ),
)  # fmt: skip

COST: Final = """\
A report of 5,000 + 5,000 rows of 20 columns took 6.7 s of CPU (of which 3 s are imports) and 390 MB; its page is
5.1 MB, its data 34 kB. Address space is mostly reserved: 2.9 GB. With 0.9 GB the child ended with `MemoryError`, and
that is what the event said."""
