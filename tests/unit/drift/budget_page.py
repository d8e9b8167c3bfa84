"""The part of docs/drift.md about budgets of false alarms, the season, and what is found under them."""

from __future__ import annotations

import json
from typing import Final

from everloop.docs.text import table
from everloop.measures.running import SPANS
from everloop.profile.calibrate import CONFIRMS, FEWEST, FOLDS, REPEATS
from everloop.profile.seasons import LEAST_ROWS
from tests.unit.drift.power import KEPT

BUDGET: Final = f"""\
`drift.false_alarms: 1 per 30d` says how many false alarms of inputs and scores are acceptable, in place of limits.
What windows show while nothing happens is measured when a version is trained: the rows that it learnt from are cut
into windows as the loop file cuts them, and each is measured against the reference, less its own rows. That travels
in the profile (`calibration`, [decision 18](adr/0018-limits-come-from-the-reference.md)), and every window carries
it.

*One number per column.* The divergence of the loop file's test (`default.test`, `score.test`; of a distance the
square) over what is to be expected of it: its noise, which falls as 1/n + 1/m, and what windows of the reference
differ by beyond it. The cube root of that ratio is nearly normal for few categories and for many bins (Wilson and
Hilferty 1931); less its mean, over its deviation, it means the same for each column. Each of {FOLDS} stretches of the
reference is standardised by what the others show.

*What adds up.* A change too small for one window shows in many windows, and one too small for one column in many
columns. Each column also gives a few numbers that by chance are about 0 with a deviation of 1: of numbers how far the
mean of their normal scores is from the reference's (van der Waerden 1952), and that of the scores' squares (Klotz
1962), which see location and spread and have no moments to be led astray by; of categories contrasts, whose squares
are Pearson's chi-square. They are summed over the last k = {", ".join(map(str, SPANS))} windows (Willsky and Jones
1976; Lai 1995), and the squares of the sums are added up: over the numbers of one column (`running_shift`), and over
those of all (`joint_shift`: the columns without which the others together are as usual are named). As standard normal
numbers (Wilson and Hilferty 1931) they mean the same for any span and any number of columns. Sums begin anew when an
episode opens or closes; while one is open, no more windows are added up than would close it. A change so small that
only sums show it may so open and close several episodes.

*The threshold.* The strongest column of the window, the strongest sum of one column and that of all make one number
per window (`budget.found`): how far the one that stands out most is above its usual, which is its median over the
windows of the reference, in units of the way from there to its 95 % quantile. Drift is above `budget.threshold`: the
lowest at which the whole policy (`confirm` windows open an episode, as many close it, an episode is one alarm) would
raise no more alarms than the budget, over stretches of the reference put together anew (circular block bootstrap,
Politis and Romano 1992), one alarm added: above the largest of N values the next one comes with chance 1 / (N + 1).
Curves are kept for {", ".join(map(str, CONFIRMS))} confirming windows; for another number the next smaller one errs
towards quiet.

*What cannot be certified is said.* One alarm in 30 days needs a reference of 30 days: the rarest thing that it can
show comes once in it. With a shorter one the finest budget that it can certify stands in `budget.certified`, and its
threshold is used. With fewer than {FEWEST} windows, or under windows or tests other than the version was trained
under, limits are fixed and `budget.note` says why. A missing rate that changed by 0.2, and what left a constant, stay
drift in either case. Windows from before the change that a version was trained on are not looked at."""

PROMISED: Final = """\
By simulation through calibration and policy, worlds that do not change (a window per hour, 100 rows, five columns and
scores; means that wander by an AR(1) of 0.8 and 0.1 deviations; a daily swing of 0.4, which scores follow), with a
reference of six weeks and a budget of 1 per 30d; and a swing of 2, 60 rows, a reference of 15 days and a budget of 1
per 7d (`tidal`). `make test` lives through 52 weeks, the soak through 1,248. Both hold the lower 95 % bound of the rate
(Poisson) to the budget, and over 50 weeks or more the rate to 1.25 times the budget. The soak gave:"""

KEPT_BUDGETS: Final = table(
    ("world", "test", "weeks", "alarms", "allowed"),
    (
        ("stationary", "psi", "168", "21", "39.2"),
        ("autocorrelated", "psi", "168", "37", "39.2"),
        ("seasonal", "psi", "168", "28", "39.2"),
        ("stationary", "ks", "168", "25", "39.2"),
        ("autocorrelated", "ks", "168", "36", "39.2"),
        ("seasonal", "ks", "168", "30", "39.2"),
        ("tidal", "psi", "120", "128", "120"),
        ("tidal", "ks", "120", "117", "120"),
    ),
)
"""As `pytest -m soak -rP tests/simulation/test_false_alarms.py` shows it."""

FOUND: Final = """\
What is found under that budget within 24 windows, of 20 references each: share of the runs in which an episode opened,
and its median delay, confirmation included."""

SEASON: Final = f"""\
Where the profile has a season, a window is compared with the same hours (UTC) of the reference: of the day, or of the
week. `drift.season: auto` takes the one that shows: what divergences have beyond their noise must at least halve when
windows are compared with their own hour, and the gain must stand out over days by three standard errors; each hour
needs {REPEATS["hour_of_day"]} days, or weeks, with rows. Windows longer than 6 h, and by rows, have none. The key is
read when a version is trained, and `season` of each judged window says what was done; `everloop drift` shows it, why it
is so, and which columns are compared with the whole reference all the same. Hours with fewer than {LEAST_ROWS} rows
together are not compared with, the whole reference is; where hours are, the whole stands beside them in `overall` of
the window's record. Rows from before the change that a version was trained on are in no hour.

Scores have the season of the columns, of every arm. Their hours are the holdout's alone: scores of rows that a version
learnt from are too sure. Where the holdout has not {LEAST_ROWS} rows in each hour that windows have, all scores are
compared with the whole holdout; with the default share of a fifth, hours of the week take five weeks of rows. For a
budget each window's scores are measured against the stretch of rows before it that is as long as the holdout, with a
season against its hours: as few rows as production will compare with, and the same for many windows.

Segments have no hours of their own: there are many, and few rows of each in an hour. Their reference is weighted, bin
by bin, by what the hour does to the whole (Shimodaira 2000), and counts as so many rows as that is worth (Kish 1965).
That is right where the season moves segments as it moves the whole. By simulation (a swing of two deviations, 400 rows
an hour, PSI at 0.2, four segments, 336 windows without a change) none had drifted, where against the whole reference
some had in every window, and one that moved by a deviation was found in each; of segments whose levels differ by one to
two deviations some had in 62 % of the windows, and in every window against the whole."""


def power() -> str:
    """The table of what is found."""
    rows = json.loads(KEPT.read_text("utf-8"))
    worlds = dict.fromkeys(row["world"] for row in rows)
    shifts = dict.fromkeys(row["shift"] for row in rows)
    known = {(row["world"], row["shift"]): row for row in rows}
    return table(
        ("one of five columns moves by", *worlds),
        ((f"{shift:g} deviations", *(_cell(known[world, shift]) for world in worlds)) for shift in shifts),
    )


def _cell(row: dict[str, float | None]) -> str:
    found = f"{row['found']:.0%} in a day"
    return found if row["windows"] is None else f"{found}, after {row['windows']:g} h"
