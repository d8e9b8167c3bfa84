"""Some values of a column of Python's objects: what arrays do by an index, as fast as a list can."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from everloop.listed import Listed

V = TypeVar("V")


def picked(column: Sequence[V], rows: NDArray[np.integer[Any]]) -> list[V]:
    """The values at these places, in their order."""
    if len(rows) < 2:  # noqa: PLR2004 -- of one place alone `itemgetter` gives no tuple
        return [column[row] for row in rows.tolist()]
    held = column.tolist() if isinstance(column, Listed) else column  # which has no quick look-up of its own
    return list(itemgetter(*rows.tolist())(held))
