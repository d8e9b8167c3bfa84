"""Where the values of a numeric column's bins stand, for distances along the axis."""

from collections.abc import Sequence
from itertools import pairwise

from everloop.profile.build import MAX_BINS


def places_of(edges: Sequence[float]) -> list[float]:
    """In a bin's middle; at its lower edge where each value has a bin of its own. Shape (edges + 1,)."""
    if not edges:
        return [0.0]
    own = len(edges) < MAX_BINS - 1  # fewer than the most bins that a profile makes
    inner = edges[:-1] if own else [low / 2 + high / 2 for low, high in pairwise(edges)]
    return [edges[0], *inner, edges[-1]]
