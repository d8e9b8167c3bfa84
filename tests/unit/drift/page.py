"""`python -m tests.unit.drift.page`: write docs/drift.md, whose table of parity is what the tests measure.

It is here and not in `everloop.docs`, since it runs the libraries that we are compared with, which only tests install.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from typing import Final

from everloop.docs.text import page, table
from everloop.names import PROBE
from everloop.profile.segments import COLUMN_CELLS, MOST_CELLS, MOST_NUMBERS
from everloop_drift.domain import (
    changes,
    concept,
    cuts,
    delay_curve,
    faults,
    label_flow,
    ranking,
    segment_quality,
    segments,
)
from everloop_drift.domain.measures import CATEGORICAL, NUMERIC, POSITIVE, SHARED
from everloop_drift.domain.probe import EACH, HEARS, METRIC, ROWS, STABLE, WINDOWS
from tests.docs.pages import ROOT, text_of
from tests.unit.drift import budget_page, delay_page, diagnosis_page, reports_page
from tests.unit.drift.parity import PARITY

DAY: Final = 24 * 60 * 60 * 1000
NAME: Final = "docs/drift.md"
LEAST: Final = 1e-12
INTRODUCTION: Final = """\
A closed window is compared with the reference profile of the version that served it: the inputs of the newest rows
before its training cut, the scores of out-of-time rows. Both sides are counted in the same bins. A numeric column has
at most 64 of near-equal reference mass, the outermost for what the reference never had; a categorical one has a bin per
category, the hundred most frequent ones, and `other`. A column of few different numbers has a bin for each. Scores of a
binary model are in 100 equal bins of [0, 1]. What is in no bin (no value, not finite, of another type) is *missing*.

Measuring and deciding are two steps. **Everything below is measured in every window** and stands in `figures` of
[`WindowJudged`](events.md#ioeverloopwindowjudgedv1), to five digits, null where it cannot be measured; the limits of
the loop file choose what decides, and that stands in `measures`, with its limit, to the last bit. Measures are pure
functions of the window record, in [`domain/`](../services/drift/everloop_drift/domain): `statistics` (formulas),
`measures` (columns), `limits` (what is drift), `realised` and [`everloop.quality`](../shared/everloop/quality.py)
(labels), `concept` (detectors), `ranking`, `changes` and `cuts`, `faults`, `episodes`, `judging`."""

MEASURES: Final[Mapping[str, tuple[str, str]]] = {
    "psi": (
        "population stability index: sum of (r − c) ln(r / c) over groups; an empty group is filled as Evidently does",
        "Yurdakul 2018",
    ),
    "psi_noise": ("the PSI to expect when nothing has changed: (groups − 1)(1/n + 1/m)", "Yurdakul 2018"),
    "chi_square": ("p-value of homogeneity over groups", "Pearson 1900"),
    "jensen_shannon": ("distance over groups, base 2, 0 to 1", "Lin 1991"),
    "missing_rate": ("share in no bin, minus that of the reference", ""),
    "constant": ("1 where there is one value and the reference had several, else 0", ""),
    "outside_constant": ("against a constant reference: share of rows elsewhere; there PSI means nothing", ""),
    "ks": ("p-value of the two-sample Kolmogorov-Smirnov statistic, by its limit", "Smirnov 1939"),
    "ks_statistic": ("largest difference of the two distribution functions, over bins", "Smirnov 1939"),
    "wasserstein": ("first Wasserstein distance in reference deviations, not below that of the means", "Villani 2009"),
    "mean_shift": ("difference of means in reference deviations", ""),
    "mean_shift_error": ("its standard error; shift / error is Welch's t, shift ± 1.96 errors the 95 % interval",
                         "Welch 1947"),
    "variance_shift": ("ln(deviation / reference deviation); no interval: that needs the fourth moment", ""),
    "out_of_range": ("share of values in bins that the reference never filled: below its smallest, above its largest",
                     ""),
    "unseen": ("share of values in categories that the reference never had", ""),
    "positive_rate": ("share of scores from 0.5 on (binary)", ""),
    "positive_rate_change": ("minus that of the reference", ""),
}  # fmt: skip

STAYS: Final = "stays as it is"
LIMITS: Final = """\
`drift.default`, `drift.columns` and `drift.score` name one test and its limit per column: psi, jensen_shannon and
wasserstein are drift at or above it, ks and chi_square (p-values) below it. For categories, which have no order, ks
becomes chi_square and wasserstein becomes jensen_shannon; against a constant reference a distance becomes
outside_constant. Beside it a missing rate that changed by 0.2 is drift of its column. A window has drifted when the
share of drifted columns reaches `drift.share`, or the scores have. An episode opens after `drift.confirm` drifted
windows in a row and closes after as many stable ones. With few rows a PSI of 0.2 comes by chance: that is what
`windows.min_rows` and psi_noise are for.

Only the champion's arm is judged; candidate and shadow have their own columns in the window, which rollout looks at."""

FAULTS: Final = """\
`schema_drift`, `data_fault` and `reference_invalid` wake no trainer; the first two veto it. A revision (late rows
changed a window that was closed) is judged and said like any window, with its number, and neither opens, continues,
closes nor counts for an episode: later windows were judged by then."""

WARMING: Final = """\
another version became champion; its first `min_rows` rows are not judged, so that a promotion causes no alarm"""
SCHEMA: Final = f"""\
rows came with other columns: removed, added, retyped. At least {faults.SCHEMA_SHARE:.0%} of the rows, and \
{faults.SCHEMA_ROWS} (or `min_rows`, where that is less), so that one odd record is none. Rows with the profile's \
columns are measured, and decide nothing"""
IMMATURE: Final = """\
too few rows of outcomes have a label yet, see [labels that come late](#labels-that-come-late); measured, and decides \
nothing; detectors do not hear it"""
VERDICTS: Final = table(
    ("verdict", "means", "episode"),
    (
        ("`stable`, `drifted`", "the window was compared", "counts"),
        ("`too_few`", "fewer rows with the profile's columns than `windows.min_rows`", STAYS),
        ("`reference_warming`", WARMING, f"{STAYS}; one of the former champion closes"),
        ("`schema_drift`", SCHEMA, STAYS),
        ("`data_fault`", "the data is broken, see [diagnosis](#diagnosis); measured, and decides nothing", STAYS),
        ("`reference_invalid`", "the profile is empty, or its counts do not fit its bins", STAYS),
        ("`no_reference`", "outcomes without the primary metric on either side", STAYS),
        ("`labels_immature`", IMMATURE, STAYS),
    ),
)  # fmt: skip

SEGMENTS: Final = f"""\
With `windows.segments: {{columns: [country], most: 20}}` the champion's rows are also judged value by value: a segment
is one value of one declared column. The `most` most frequent values of the reference have one each; everything else,
unseen and missing values too, is `other` (null in records). The trainer fixes the segments with each version, so a
change of the loop file holds from the next version on. A column need not be a feature, if the rows that the version
was trained on had it. A column of numbers has segments where the reference has at most {MOST_NUMBERS} different ones,
and none otherwise. All segments together have at most {MOST_CELLS:,} bins (a column counts as {COLUMN_CELLS} more, for
its record): where there would be more, the smallest segments fall into `other`, and where there is no room at all,
there are none.

A segment is judged by the window's own rule (limits, `drift.share`, scores) when it has `windows.min_rows` rows, and
{segments.REFERENCE_ROWS} in its own reference; so are its scores, by those of the holdout. Groups are joined until
each has {segments.GROUP_ROWS} reference rows. The declared column is left out within its own values. The correction
for their number: a limit that is a p-value is divided by the number of segments judged (Bonferroni); a distance must
reach its limit, and differ by more than chance: chi-square on the same groups at {segments.NOISE:.0%}, divided by
segments and columns. For PSI that is a limit which grows as rows get fewer, since PSI times nm / (n + m) is about that
chi-square (Yurdakul 2018).

Simulated windows without a change in which any of 20 segments has drifted, with three columns and scores, 500 rows
against 100 of the reference, 800 windows (in brackets: one segment alone, 16,000 windows): psi 0.8 % (0.3 %),
wasserstein 1.1 % (0.9 %), ks 2.9 % (2.9 %), chi_square at its limit of 0.05 25 % (21 %).

A segment has an episode of its own, by `drift.confirm`, in windows that are stable as a whole while the model has no
episode: when the whole has drifted, `segments` says where, and its episode is the one alert. An open one waits while
its segment has too few rows. Episodes of segments that open or close with the same window are one alert,
`segment_drift_opened` or `segment_drift_closed`, and it names the worst. They wake no trainer.

*Labels by segment.* Outcomes carry the values of the declared columns ([windows.md](windows.md#what-is-counted),
[decision 24](adr/0024-labels-by-segment.md)), so a window of outcomes has for each segment its labelled rows, the
predicted ones, and the primary metric beside that of the holdout's rows of the same segment; `everloop drift MODEL`
shows them. With more than 65 segments scores are counted in 500 bins, at last in 100. A segment is judged where the
window is, and where it has `windows.min_rows` labelled rows, as large a coverage as the window needs to be mature, and
rows enough for an error that can be believed: of a binary model {segment_quality.CLASS_ROWS} of either class on both
sides, of a regression {segment_quality.REFERENCE_ROWS} in the holdout. Else its verdict says why not: `too_few`,
`immature`, `no_reference` (also of a version from before segments had a quality), or `unjudged` where the window is
not. It has drifted when the lower bound of its fall is above `drift.quality.drop`. That bound is one-sided at 95 % for
all segments together (Bonferroni): the limits of both sides put together by MOVER (Zou and Donner 2008), each with
Student's quantile and on the metric's scale or on log odds (rmse: logarithms), whichever is farther. Of many classes
rows are counted, and nothing is judged.

Simulated windows without a change in which any of 20 segments is said to have fallen, where any fall at all would be
one, 500 rows against 300 of the holdout at an area of 0.86, 800 windows: 2.4 %, with one positive in ten 2.8 %, of a
regression against 500 rows 4.4 %; at the default `drop` of 0.03, 0.3 %. One segment of the 20 whose area falls by 0.11
is found in 29 of 100 windows, by 0.14 in 64, by 0.18 in 95, by 0.36 in all.

A fall has episodes as drift of a segment has: `segment_quality_opened` and `segment_quality_closed`. None opens or
closes while the window as a whole is not stable or any episode or fault of the model is open, nor while drift of the
same segment is: one cause is one alert."""

QUALITY: Final = """\
A window of outcomes closes at `labels.horizon`. Each metric stands in `quality` with its two-sided interval at 95 %,
its standard error, the rows that it stands on, and the reference's value, which the trainer measures on the holdout by
the same functions on the same grid. `coverage` is labelled over predicted rows, `label_age` how old labels were when
they became known. The primary metric decides: the window has drifted when the lower 95 % bound of its fall (of rmse:
its rise), with the errors of both sides, is above `drift.quality.drop`."""

METRICS: Final = table(
    ("metric", "of", "interval"),
    (
        ("roc_auc", "scores on a grid of 1,000 bins", "DeLong et al. 1988, on log odds (Pepe 2003)"),
        ("accuracy, precision, recall, label_rate", "yes from 0.5 on; label_rate: share of positives", "Wilson 1927"),
        ("f1", "the positive class", "Wilson's for J = hits / (hits + missed + false), by F1 = 2J / (1 + J)"),
        ("log_loss, brier", "nats; squared error", "normal; too narrow where few certain scores carry the log loss"),
        ("calibration_error", "ten equal bins of [0, 1], weighted (Naeini et al. 2015)",
         "conservative: the bins' absolute errors are half-normal"),
        ("rmse, mae", "regression, in the label's unit", "normal; rmse on the mean square, its error by delta method"),
    ),
)  # fmt: skip

LATE: Final = f"""\
A window of outcomes closes whether or not its labels are there, and the rows that are labelled first are seldom like
the rest: a fraud is reported at once, that there was none shows in weeks. So quality is judged only where a window is
*mature*: where its `coverage` is at least `labels.matured` (0.8) of the share of rows that ever get a label (`ever`).
Else the verdict is `labels_immature`: all is measured and stands there, no episode opens, continues counting or closes,
and detectors do not hear its errors. Both figures, and the rows, are in `reason`.

*The delay curve* (`labels` of the window's record) is learnt from the windows themselves, per model: which share of the
rows has a label by which age. Young rows still wait for theirs and are censored at their age: the curve is the
product-limit estimate (Kaplan and Meier 1958), on a grid of eight bins per octave, equal to that of `statsmodels` on
the same rows. It levels out at `ever` (a cure fraction, Maller and Zhou 1996). Labels that come behind the closing of
their window are in no window and in the curve all the same: they are counted, by age, in the slice that is the next to
close ([decision 20](adr/0020-how-labels-come.md)). By simulation, with labels that take five hours in the median while
60 hours are watched, the curve's median is within a bin of the truth in 95 % of 200 runs, and its `ever` is off by
less than 0.005 in the mean, where the share of labels that have come is 0.06 too low. At most
{delay_curve.MOST_COHORTS} groups of windows are remembered, for {delay_curve.OLDEST_MS // DAY} days.

*A lag* shows as windows with fewer labels than were usual. Whether the rest is late or never comes cannot be known
before the join has forgotten the predictions: for {delay_curve.FORGOTTEN_MS // DAY} days such windows are left out of
the curve unless their labels come, and then believed as they are. So a feed that is a week late holds quality back and
raises no alarm, and a share of labels that falls for good holds it back for up to
{delay_curve.FORGOTTEN_MS // DAY} days, unless `labels.matured` is lowered.

*Beside every figure of quality* stand `coverage`, `by_age` (coverage at ages up to the horizon, with what the curve
expects), `label_age` of this window, and `p50` and `p95` of the curve; `everloop windows` and `everloop status` show
them. Coverage is by arm and version, and by [segment](#segments), which `everloop drift` shows beside quality.

*Labels that stop* are an alert, `labels_stopped`, and `labels_resumed` when they come again; never an episode of
quality, and no one trains for it. A *look* is a stretch of windows in which {label_flow.DUE} labels were due, by what
is usual; it is silent with less than {label_flow.SILENT:.0%} of them. Silence begins with some chance and goes on with
some chance: both are counted, and a silence is a stop when it is as long as begins by chance less than once in
{label_flow.QUIET_MS // DAY} days. By simulation of two months each, from the first hour on, with windows of an hour, it
is said less than once in 30 days: where labels come evenly, where 3 in 100 rows have one, in fits and starts, in
working hours alone, once a day. After two weeks a stop of even labels is said within 6 windows; where labels come once
a day it takes about a week, since 23 silent hours are ordinary there. Before {label_flow.LEARNT} looks, and after a
first silence for eight days, nothing is said. A new `labels.horizon` is learnt anew.

Until {label_flow.LEARNT} windows are known, or where the rows of a window are not, quality is judged on whatever has
come."""

MULTICLASS: Final = """\
The reference is measured on the holdout as it is cut into windows, where it has eight or more: the mean of windows by
their rows, and in its error what windows differ by beyond chance (random effects, Hedges and Olkin 1985). All rows
together are no window's like: with a season the area under the curve of a day is larger than that of each of its hours.
In a world that swings by two deviations a day, more than a fifth of unchanged hours lay below the whole holdout by
more than chance, and at most 8 in 100 below its windows (5 are aimed at, `tests/unit/trainer/test_window_quality.py`).
The reference of a segment moves as that of all rows does.

Multiclass rows are counted with the age of their labels alone: a label cannot say whether the predicted class was
right, since rows carry the score of a class and not its name."""

CONCEPT: Final = f"""\
Labelled rows also make a stream of errors in order of event time: per interval rows, wrong rows and a loss within
[0, 1] (binary: squared error; regression: a / (1 + a), a the absolute residual over the reference deviation of the
score). Each window's part of it is in the judge's own journal (`errors`, at most {concept.WINDOW_POINTS} points), and
[River](https://riverml.xyz)'s detectors are built anew from the last {concept.MOST_POINTS} points for every window: no
detector's state is kept, so a restart, another replica or a replay finds the same. Only finite values are fed
([decision 13](adr/0013-detectors-are-built-from-the-journal.md)).

What is fed are means of blocks of equally many rows, so that a quiet night is no news; ADWIN and Page-Hinkley hear the
loss in units of the largest deviation that such a mean can have. A firing counts where errors have grown. `detections`
has the detector, where it fired, when the change began (least squares) and the mean error on both sides. That is
evidence; with `drift.concept.decides: true` it opens an episode of quality at once."""

DETECTORS: Final = table(
    ("detector", "hears", "settings", "by default"),
    (
        ("adwin", "loss, standardised", "delta 0.002, checked at every value", "yes"),
        ("page_hinkley", "loss, standardised", "rises only; delta 0.1, threshold 15, no forgetting", "yes"),
        ("ddm", "share of wrong rows, from the first error on", "after 128 values; thresholds 2 and 3", "yes"),
        ("hddm_a", "share of wrong rows", "River's", "no: fifty times slower, and slower to fire"),
        ("EDDM, HDDM-W", "–", "they need the order of single rows, which no window has", "not offered"),
    ),
)

PROVEN: Final = """\
Each measure is run beside the implementation that people know, on seeded cases; `make docs` writes what was seen, and
a test holds the table to it. *Seen* is rounded up to a power of ten, 1e-12 at least. *Bound* is how far a window's
value may be from that of the values themselves; a property test holds each. Evidently bins numeric columns by itself,
so it is fed our bin codes as a categorical column; with its own filling of zeros the two agree."""

SIMULATED: Final = """\
By simulation, in [`tests/unit/drift`](../tests/unit/drift): without a change p-values of KS are conservative and those
of chi-square uniform, PSI is its noise on the average, and every interval covers the truth about as often as it says
(that of the calibration error more often); detectors are quiet at error rates from 1 to 30 %, with even traffic and
with nights of a fiftieth of the day's rows, and power grows with the effect."""

RANKED: Final = f"""\
`ranking` has the columns of a compared window in order of drift × importance, at most {ranking.MOST_RANKED}. It decides
nothing. `everloop drift MODEL` shows it, with a histogram of each column and the episodes; `--html FILE` writes a page.

*Drift* is the Jensen-Shannon distance, which is on one scale (0 to 1) for numbers and categories, after what chance
alone makes of it: the root of jensen_shannon² − psi_noise / (8 ln 2), 0 below. A change of the missing rate counts
where it is larger, and against a constant the share of rows elsewhere. *Importance* is permutation importance (Breiman
2001), by scikit-learn's definition: how much of the primary metric is lost when the column is shuffled, on at most
2,000 rows of the holdout (as many of both classes as there are), as a share of the sum over columns. Columns that say
the same share it out. The trainer measures it and the profile carries it; with more than about 800 columns, or a model
that takes a minute for it, it is not measured, and all columns count the same. `p_adjusted` is the p-value of ks
(numbers) or chi_square (categories) for all columns together (Benjamini and Hochberg 1995)."""

BEGAN: Final = f"""\
Every window of an open episode says in `change` when it began: `at` most likely, with 95 % confidence from `earliest`
to `latest`, and `first_bad`, the start of the first window that had drifted. What is looked at are figures since the
last episode closed: of inputs one per window, the root mean square of the drift of its columns beside that of the
scores (at most {changes.MOST_BEFORE} windows from before and as many of the episode); of quality the stream of errors.
The change is a step, or a slope of {cuts.SLOPES[1]} to {cuts.SLOPES[-1]} figures, where least squares puts it (Hinkley
1970, 1971); it begins not after the first bad window, and in the middle of one as well. The interval has the begin of
every change that a likelihood ratio does not tell from the best (Siegmund 1988). The limit of that ratio is simulated,
{cuts.RUNS} times, with the size of the change and the noise that were seen, autocorrelation included, from a seed that
is made of the episode's id. With fewer than {cuts.LEAST} figures the interval is all that was seen.

`change_at`, which the trainer goes by, stays the first bad window, or what a detector says."""

COVERAGE: Final = table(
    ("stream", "runs", "held the begin", "median width"),
    (
        ("inputs, one of three columns moves by 0.6 deviations, 20 windows before, 4 after", "200", "94.0 %",
         "2.0 windows"),
        ("the same by 0.8", "200", "97.5 %", "1.0 windows"),
        ("the same by 1.2", "200", "98.0 %", "0.5 windows"),
        ("by 1.2 on a daily cycle of 0.2, 48 before, 6 after", "100", "98.0 %", "0.5 windows"),
        ("by 1.2 in the course of 4 windows, 20 before, 4 after", "150", "96.7 %", "1.25 windows"),
        ("by 1.2 in the course of 12 windows, 20 before, 4 after", "150", "97.3 %", "1.25 windows"),
        ("the same, when the episode opens", "150", "89.3 %", "3.5 windows"),
        ("quality, roc_auc from 0.96 to 0.64, 12 before, 4 after", "100", "99.0 %", "0.25 windows"),
        ("figures, a step of 3 deviations, 24 before, 6 after", "200", "98.0 %", "6.4 windows"),
        ("figures, a step of 5 deviations, 24 before, 6 after", "200", "98.5 %", "3.0 windows"),
        ("the same with neighbours correlated by 0.6, 60 before, 12 after", "200", "97.5 %", "3.9 windows"),
        ("a step of 5 that brings three times the noise, 60 before, 3 after", "100", "89.0 %", "3.0 windows"),
        ("windows that overlap to three quarters, a step of 4, 60 before, 20 after", "100", "92.0 %", "5.0 steps"),
    ),
)  # fmt: skip
COVERED: Final = """\
How often the interval holds the true begin, which lies anywhere within a window, by simulation through the whole judge
and of figures alone:"""
COVERED_NOTE: Final = """\
Where it promises a little too much: a slow slope that has only just been found, a change that brings far more noise and
is known from a few windows, windows that overlap."""

PROBE_TEXT: Final = f"""\
A detector that has gone blind says nothing, and so does a world that stands still. So drift watches a model of its own,
`{PROBE}`, of which no loop file may have the name. In each period of `EVERLOOP_PROBE` it sends {WINDOWS} windows of
{ROWS} rows through `predictions` and `outcomes`. In the last {WINDOWS - STABLE} of them inputs have moved, and most
labels are other than predicted. One row in {EACH} of *every* window holds a NaN, an infinity, a text or nothing. Rows
follow from the number of the window in its period alone: each period is the same, and two replicas send the same
records, of which one is dropped.

Of each drift the verdicts must show a drift of inputs, a fall of `{METRIC}`, and a firing of each of
{", ".join(f"`{name}`" for name in HEARS)} on the errors; of the windows before it, nothing.
What is missing one window after the period has closed is the alert `detector_blind`, once, until a period is found
again (`detector_sees`). No verdict at all is blindness, too: a room that stands still, a lane that is stopped. Beside
it each detector is fed a stream with a NaN and both infinities before a jump: counts are integers, so that no such
value reaches one by way of windows, and this is how the check that stands before them is tried. A period of which a
window was not sent in time proves nothing: a start, a lost broker and a sleeping machine raise no alarm. A process that
dies as soon as it is started says nothing either; that is for its supervisor to say.

The trainer, the gatekeeper and rollout pass over this model; ingest neither joins nor archives its rows, and enters
them in its books as quarantined. Its windows and verdicts are kept for ever like those of any model, 85 kB a period: 2
MB a day at the default of 1h, 12 MB at 10m. `everloop up` has no probe unless it is started with `--probe 5m` or the
like, and `everloop demo` has none: a replay waits for the stack to come to rest. In [`compose/`](compose.md) it is
on."""

ROW: Final = re.compile(r"^\| `(.+?)` \| (.+?) \| .+ \| (\S+) \|$", re.MULTILINE)


def decade(value: float) -> str:
    """Rounded up to a power of ten, at least 1e-12: the last bits of another machine do not change the page."""
    return f"1e{math.ceil(math.log10(max(value, LEAST)))}"


def measured() -> dict[tuple[str, str], str]:
    """What is seen now, by measure and reference."""
    return {(one.measure, one.reference): decade(one.largest()) if one.tolerance else "0" for one in PARITY}


def written(text: str) -> dict[tuple[str, str], str]:
    """What a page says was seen."""
    section = text.partition("\n## Parity\n")[2].partition("\n## ")[0]
    return {(measure, reference): seen for measure, reference, seen in ROW.findall(section)}


def drift_page(seen: Mapping[tuple[str, str], str], said: diagnosis_page.Runs | None = None) -> str:
    """The whole page, with these figures in its table of parity, and these runs of faults (None: those of the page)."""
    said = diagnosis_page.written(text_of(NAME)) if said is None else said
    names = dict.fromkeys((*SHARED, *NUMERIC, *CATEGORICAL, *POSITIVE))
    figures = table(
        ("measure", "of", "what it is", "source"),
        ((f"`{name}`", _of(name), *MEASURES[name]) for name in names),
    )
    parity = table(
        ("measure", "reference implementation", "bound to the values", "differs at most", "seen"),
        (
            (f"`{one.measure}`", one.reference, one.bound, f"{one.tolerance:.2g}",
             seen.get((one.measure, one.reference), "?"))
            for one in PARITY
        ),
    )  # fmt: skip
    return page(
        "Drift", INTRODUCTION, "## Columns and scores", figures, "## Verdicts", LIMITS, VERDICTS, FAULTS,
        "## A budget of false alarms", budget_page.BUDGET, budget_page.PROMISED, budget_page.KEPT_BUDGETS,
        budget_page.FOUND, budget_page.power(), "## The same hour", budget_page.SEASON,
        "## Segments", SEGMENTS,
        "## Quality on labels", QUALITY, METRICS, MULTICLASS, "## Labels that come late", LATE,
        "## Concept drift", CONCEPT, DETECTORS,
        "## Full reports", reports_page.REPORTS, reports_page.NUMBERS, reports_page.PROMISED, reports_page.POWER,
        reports_page.COST,
        "## Which columns", RANKED, "## When it began", BEGAN, COVERED, COVERAGE, COVERED_NOTE,
        "## Detection delay", delay_page.DELAY, delay_page.summary(), delay_page.delays(),
        "## The probe", PROBE_TEXT, *diagnosis_page.sections(said),
        "## Parity", PROVEN, parity, "## Simulation", SIMULATED,
    )  # fmt: skip


def _of(name: str) -> str:
    if name in POSITIVE:
        return "scores"
    if name in SHARED:
        return "all"
    return "categories" if name in CATEGORICAL else "numbers, scores"


if __name__ == "__main__":
    text = drift_page(measured(), diagnosis_page.runs())
    (ROOT / NAME).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{NAME}: {len(text.splitlines())} lines\n")
