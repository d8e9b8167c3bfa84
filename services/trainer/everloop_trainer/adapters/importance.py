"""How much a model's worth falls when one column is shuffled: permutation importance on held-out rows.

Breiman 2001 (Machine Learning 45), for any model as in Fisher, Rudin and Dominici 2019 (JMLR 20); the same definition
as `sklearn.inspection.permutation_importance`: the primary metric before, minus its mean after. Columns that say the
same share their importance out, and each may look like little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from everloop.models import Scorer, Task
from everloop.profile import Profile
from everloop_trainer.adapters import measures

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Table = NDArray[np.object_]
Labels = Ints | Floats

MOST_ROWS: Final = 2_000
MOST_REPEATS: Final = 3
MOST_CELLS: Final = 60_000_000
"""Rows x columns that are scored in all, once per column and repeat: about ten seconds of boosted trees."""
LEAST_ROWS: Final = 100
"""Where fewer rows fit (from about 800 columns on) importance would be noise, and is not measured."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is shuffled: so many rows, so often."""

    rows: int
    repeats: int


def size_of(rows: int, columns: int) -> Size | None:
    """Fit the work to `MOST_CELLS`: first fewer repeats, then fewer rows. None where too few rows would be left."""
    most = MOST_CELLS // columns**2
    fitting = min(rows, MOST_ROWS, most)
    if fitting < min(rows, LEAST_ROWS) or not rows:
        return None
    return Size(fitting, min(MOST_REPEATS, most // fitting))


def with_importance(
    profile: Profile, scorer: Scorer, table: Table, labels: Labels, *, seed: int, in_time: Callable[[], bool]
) -> Profile:
    """Write the shares of importance into the columns of a profile; they sum to 1.

    `table` (rows, columns) is what `everloop.models.frame` gives of the holdout, `labels` (rows,) belong to it. The
    profile stays as it is where nothing can be said: too many columns, one class only, no column that matters, or a
    model so slow that `in_time` says no before all columns are measured.
    """
    size = size_of(len(table), len(scorer.manifest.features))
    if size is None:
        return profile
    chance = np.random.default_rng(seed)
    rows = sample(labels, size.rows, chance, balanced=scorer.manifest.task == "binary")
    shuffles = [chance.permutation(len(rows)) for _ in range(size.repeats)]
    found: list[float] = []
    for one in importances(scorer, table[rows], labels[rows], shuffles):
        found.append(one)
        if not in_time():
            return profile
    return _written(profile, dict(zip(scorer.manifest.features, shares(found), strict=False)))


def sample(labels: Labels, rows: int, chance: np.random.Generator, *, balanced: bool) -> Ints:
    """Choose places of at most `rows` rows, ascending.

    `balanced`: as many of either class as there are, up to half of the rows: the area under the curve does not depend
    on the share of positives, and is measured best on equally many.
    """
    if not balanced:
        return np.sort(chance.permutation(len(labels))[:rows])
    few, many = sorted((chance.permutation(np.flatnonzero(labels == label)) for label in (0, 1)), key=len)
    few = few[: rows // 2]
    return np.sort(np.concatenate([few, many[: rows - len(few)]]))


def importances(scorer: Scorer, table: Table, labels: Labels, shuffles: Sequence[Ints]) -> Iterator[float]:
    """The fall of the primary metric per column, in the order of the model's columns; negative where it rose.

    `shuffles` are orders of the rows, each of shape (rows,), the same for every column. Nothing where the metric is not
    defined: an area under the curve needs both classes.
    """
    worth = WORTH[scorer.manifest.task]
    known = _known(scorer, labels)
    whole = worth(known, scorer.outputs(table))
    if whole is None:
        return
    repeated = np.concatenate([table] * len(shuffles))
    for place in range(table.shape[1]):
        kept = repeated[:, place].copy()
        repeated[:, place] = np.concatenate([table[order, place] for order in shuffles])
        parts = np.split(scorer.outputs(repeated), len(shuffles))
        repeated[:, place] = kept
        yield whole - float(np.mean([worth(known, part) for part in parts]))


def shares(found: Sequence[float]) -> list[float | None]:
    """Of the sum: none below 0, since a shuffled column that helps is chance. All None where no column matters."""
    positive = [max(0.0, one) for one in found]
    total = sum(positive)
    return [one / total if total > 0 else None for one in positive]


def _known(scorer: Scorer, labels: Labels) -> Labels:
    """Labels as the metrics want them: of several classes their place in the model's order, -1 for one it never saw."""
    if scorer.manifest.task != "multiclass":
        return labels
    place = {name: number for number, name in enumerate(scorer.manifest.classes)}
    return np.array([place.get(str(label), -1) for label in labels], dtype=np.int64)


def _area(labels: Labels, outputs: Floats) -> float | None:
    if not 0 < int(labels.sum()) < len(labels):
        return None
    return measures.roc_auc(np.asarray(labels, dtype=np.int64), outputs[:, 1])[0]


def _accuracy(labels: Labels, outputs: Floats) -> float | None:
    return float((outputs.argmax(axis=1) == labels).mean())


def _closeness(labels: Labels, outputs: Floats) -> float | None:
    return -float(np.sqrt(np.mean((outputs - labels) ** 2)))


WORTH: Final[Mapping[Task, Callable[[Labels, Floats], float | None]]] = {
    "binary": _area,
    "multiclass": _accuracy,
    "regression": _closeness,
}
"""The primary metric of a task (`everloop.loop.primary`), of labels and what the model says; higher is better."""


def _written(profile: Profile, found: Mapping[str, float | None]) -> Profile:
    columns = tuple(one.model_copy(update={"importance": found.get(one.name)}) for one in profile.columns)
    return profile.model_copy(update={"columns": columns})
