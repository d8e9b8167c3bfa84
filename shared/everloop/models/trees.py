"""Trees follow indices without checks, in compiled code: a crafted index reads foreign memory or never ends.

skops therefore trusts no tree (see `UNTRUSTED_TYPE_REASONS` there). We allow them and check what they would follow:
children lie behind their parent and inside the array, features inside the row. So each walk ends at a leaf.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from everloop.errors import InvalidError

_ANY: Final = 1 << 62
Trees = Any  # fitted objects of scikit-learn, which has no types


def check_trees(estimator: Trees) -> None:
    """Raise `InvalidError("malformed")` when a tree within the estimator could leave its arrays or go in circles."""
    for item, width in _parts(estimator):
        if hasattr(item, "children_left") and hasattr(item, "node_count"):
            leaf = np.asarray(item.children_left) == -1
            _check(leaf, (item.children_left, item.children_right), item.feature, width)
        elif type(item).__name__ == "TreePredictor":
            nodes = item.nodes
            _check(nodes["is_leaf"] != 0, (nodes["left"], nodes["right"]), nodes["feature_idx"], width)
            _check_bitsets(nodes, len(item.raw_left_cat_bitsets))
        elif type(item).__name__.startswith("GradientBoosting"):
            _require(ok=item.estimators_.shape[1] == item.n_trees_per_iteration_)


def _parts(root: Trees) -> Iterator[tuple[Trees, int]]:
    """Walk all objects within, each with the narrowest row that it may be given. Not recursive, and no object twice.

    A pipeline changes the width of rows on the way, so what it is given says nothing about its steps.
    """
    seen: dict[int, object] = {}
    stack: list[tuple[Trees, int]] = [(root, _ANY)]
    while stack:
        item, width = stack.pop()
        if isinstance(item, str | bytes | int | float | type(None)) or id(item) in seen:
            continue
        seen[id(item)] = item
        width = _ANY if hasattr(item, "steps") else min(width, getattr(item, "n_features_in_", width))
        yield item, width
        stack.extend((child, width) for child in _children(item))


def _children(item: Trees) -> list[Trees]:
    if isinstance(item, dict):
        return list(item.values())
    if isinstance(item, list | tuple | set):
        return list(item)
    if isinstance(item, np.ndarray):
        return list(item.flat) if item.dtype == object else []
    return list(getattr(item, "__dict__", {}).values())


def _check(leaf: NDArray[Any], children: tuple[NDArray[Any], NDArray[Any]], feature: NDArray[Any], width: int) -> None:
    """Hold the inner nodes of one tree to the rules. All arrays have shape (nodes,)."""
    inner = ~leaf
    places = np.arange(len(leaf), dtype=np.int64)[inner]
    _require(ok=len(leaf) > 0)
    for child in children:
        found = np.asarray(child)[inner].astype(np.int64)
        _require(ok=bool(np.all((found > places) & (found < len(leaf)))))
    used = np.asarray(feature)[inner].astype(np.int64)
    _require(ok=bool(np.all((used >= 0) & (used < width))))


def _check_bitsets(nodes: NDArray[Any], count: int) -> None:
    """Native categories look themselves up in a table of `count` rows."""
    places = nodes["bitset_idx"][nodes["is_categorical"] != 0]
    _require(ok=bool(np.all(places < count)))


def _require(*, ok: bool) -> None:
    if not ok:
        message = "a tree of the model file points outside its own arrays; it was not made by training"
        raise InvalidError("malformed", message)
