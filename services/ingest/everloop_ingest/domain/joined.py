"""Pieces of a column become few, in their order: an array of a whole file costs little more than one of a record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everloop.listed import Texts, Whole
from everloop.rows.values import Categories
from everloop_ingest.domain.archiving import Piece, Pieces, Same


def joined(pieces: Pieces, *, lists: bool = False) -> Pieces:
    """The same values in fewer pieces. `lists`: those, too; else each stays by itself, as its values may differ."""
    return [*_joined(pieces, lists=lists)]


def _joined(pieces: Pieces, *, lists: bool) -> Iterator[Piece]:
    for kind, group in groupby(pieces, _kind):
        alike: list[Any] = [*group]
        if isinstance(kind, tuple):
            yield Same(kind[0], sum(piece.rows for piece in alike))
        elif kind is Categories:
            yield categories(alike)
        elif kind is Texts:
            yield Texts.joined(alike)
        elif kind is Whole:
            yield np.concatenate([piece.values for piece in alike])
        elif kind is list:
            yield from [[*chain.from_iterable(alike)]] if lists else alike
        else:
            yield np.concatenate(alike)


def _kind(piece: Piece) -> object:
    """What is equal for pieces that can be one: the value of `Same`, the type of an array."""
    if isinstance(piece, Same):
        return (piece.value,)
    if isinstance(piece, np.ndarray):
        return piece.dtype
    return next((kind for kind in (Categories, Texts, Whole) if isinstance(piece, kind)), list)


def categories(pieces: Sequence[Categories]) -> Categories:
    """The same texts under one numbering, by their first coming."""
    places: dict[str, int] = {}
    codes = [_renumbered(piece, places) for piece in pieces]
    return Categories(np.concatenate(codes), [*places])


def _renumbered(piece: Categories, places: dict[str, int]) -> NDArray[np.int32]:
    """Codes of a piece by `places`, to which its texts are added; -1 stays, as what stands last."""
    numbers = np.array([*(places.setdefault(text, len(places)) for text in piece.texts), -1], np.int32)
    return numbers[piece.codes]
