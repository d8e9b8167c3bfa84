"""A profile made ready for counting: which column has which cells, and what records with other columns are called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from everloop.listed import Quoted
from everloop.sketch.grid import Grid
from everloop.sketch.kinds import EXPECTED, is_retyped
from everloop.sketch.splits import Split, splits_of
from everloop.sketch.texts import Codes, is_coded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everloop.profile.values import ColumnProfile, Profile

STEPS: Final = 1024
"""Moments are summed in whole steps of the reference deviation / 1024, so that sums do not depend on the order."""
LOST: Final = 4
"""What is in no bin, numbered as in `profile.cells`: no value (None, NaN, or no such column), infinite or beyond
float64, of a wrong type; and how many of the missing ones came without their column."""
MAX_NAMES: Final = 20
MAX_NAME: Final = 64


class Schema(NamedTuple):
    """How the columns of a record differ from those of the profile. Names in order, capped in number and length."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()


AS_PROFILE: Final = Schema()
"""No difference."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where each column of one profile stands. Numeric columns come first, then the score, then categorical ones.

    `grid` has the numeric columns and, as its last, the score; `codes` gives the cell of every value of each
    categorical column. `cells` is how many bins there are; the cells of what is in none follow, `LOST` per column.
    `scale` is the deviation of the reference's scores. Shapes: `center`, `per_step` (numeric + 1, 1). `splits` are the
    columns whose values rows are also counted by, `beside` those of them that the model does not use.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    names: frozenset[str]
    known: frozenset[str]
    numbered: frozenset[str]
    expected: tuple[tuple[str, frozenset[type]], ...]
    grid: Grid
    codes: tuple[Codes, ...]
    center: NDArray[np.float64]
    per_step: NDArray[np.float64]
    cells: int
    scale: float
    splits: tuple[Split, ...] = ()
    beside: tuple[str, ...] = ()

    @classmethod
    def of(cls, profile: Profile) -> Layout:
        """Lay out the columns of a profile."""
        numeric = [column for column in profile.columns if column.kind == "numeric"]
        categorical = [column for column in profile.columns if column.kind == "categorical"]
        grid = Grid.of([column.edges for column in (*numeric, profile.score)])
        first = [grid.bounds[-1], *(len(column.categories) + 1 for column in categorical)]
        *starts, cells = map(int, np.cumsum(first))
        columns = len(numeric) + 1 + len(categorical)
        lost = np.arange(cells, cells + LOST * columns).reshape(LOST, columns)[:, len(numeric) + 1 :].T.tolist()
        moments = [_moments(column) for column in (*numeric, profile.score)]
        names_of_all = frozenset(column.name for column in profile.columns)
        return cls(
            numeric=tuple(column.name for column in numeric),
            categorical=tuple(column.name for column in categorical),
            names=names_of_all,
            known=names_of_all | frozenset(profile.ignored),
            numbered=frozenset(column.name for column in categorical if any(map(_is_number, column.categories))),
            expected=tuple((column.name, EXPECTED[column.kind]) for column in profile.columns),
            grid=grid,
            codes=tuple(
                Codes(column.categories, *more) for column, *more in zip(categorical, starts, lost, strict=True)
            ),
            center=np.array([[center] for center, _ in moments]),
            per_step=np.array([[per_step] for _, per_step in moments]),
            cells=cells,
            scale=profile.score.deviation or 1.0,
            splits=splits_of(profile.segments),
            beside=tuple(one.column for one in profile.segments if one.column not in names_of_all),
        )

    @property
    def columns(self) -> int:
        """How many columns there are, the score included."""
        return len(self.numeric) + 1 + len(self.categorical)

    def span(self, place: int) -> slice:
        """The cells of a column: `place` in the order numeric, score, categorical."""
        bounds, numbers = self.grid.bounds, len(self.numeric) + 1
        if place < numbers:
            return slice(bounds[place], bounds[place + 1])
        codes = self.codes[place - numbers]
        return slice(codes.first, codes.other + 1)

    def moments(self, place: int, count: int, first: int, second: int) -> tuple[float, float] | None:
        """Mean and population deviation of `count` values from the sums of their steps and of the squares of these."""
        per_step = float(self.per_step[place, 0])
        if not (count and per_step):
            return None
        spread = math.sqrt(count * second - first * first)
        return float(self.center[place, 0]) + first / count / per_step, spread / count / per_step

    def place(self, name: str) -> int:
        """The place of a feature. `KeyError` for what the profile does not have."""
        if name in self.numeric:
            return self.numeric.index(name)
        if name in self.categorical:
            return len(self.numeric) + 1 + self.categorical.index(name)
        raise KeyError(name)

    def schema(self, features: Mapping[str, object]) -> Schema:
        """How the columns of one record differ from the profile's.

        A column is retyped when all that it holds is of another type: text where numbers were, or the other way round.
        A single value that is wrong is no change of the schema; it counts as malformed.
        """
        if features.keys() != self.names:
            return self._schema(features)
        for name, expected in self.expected:  # a loop over first values: this is asked of every record
            column = features[name]
            if type(column) is np.ndarray and column.dtype.kind in "fiu" and float in expected:
                continue
            if str in expected and (type(column) is Quoted or is_coded(column)):
                continue
            if type(column) is not list or not column or type(column[0]) not in expected:
                return self._schema(features)
        return AS_PROFILE

    def _schema(self, features: Mapping[str, object]) -> Schema:
        added, removed = sorted(features.keys() - self.known), sorted(self.names - features.keys())
        retyped = [name for name in self.numeric if name in features and is_retyped(features[name], "numeric")]
        retyped += [
            name for name in self.categorical
            if name not in self.numbered and name in features and is_retyped(features[name], "categorical")
        ]  # fmt: skip
        if not (added or removed or retyped):
            return AS_PROFILE
        return Schema(_capped(added), _capped(removed), _capped(sorted(retyped)))


def _moments(column: ColumnProfile) -> tuple[float, float]:
    """Where moments are counted from, and steps per unit; zero means that they are not counted.

    A deviation so small that a step cannot be expressed is as good as none.
    """
    if column.mean is None or column.deviation is None:
        return 0.0, 0.0
    per_step = STEPS / (column.deviation or abs(column.mean) or 1.0)
    return column.mean, per_step if math.isfinite(per_step) else 0.0


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in {"true", "false"}
    return True


def _capped(names: list[str]) -> tuple[str, ...]:
    """Bounded, and encodable: names come from producers."""
    return tuple(name.encode("utf-8", "replace").decode()[:MAX_NAME] for name in names[:MAX_NAMES])
