"""What a prediction record is once it is read: columns as they came, copied and checked as little as possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from everloop.events import PredictionsLogged
from everloop.listed import Quoted


@dataclass(slots=True, eq=False, repr=False)
class Categories(Sequence[str | None]):
    """A column of texts, ready to be counted. `codes`: int32, shape (rows,), -1 where missing, else a place in `texts`.

    `texts` are distinct; in a column as it came each occurs.
    """

    codes: NDArray[np.int32]
    texts: list[str]
    _listed: list[str | None] | None = field(default=None, init=False)

    def take(self, index: Sequence[int] | NDArray[np.integer]) -> Categories:
        """The rows with these numbers; `texts` stay, whether they occur or not."""
        return Categories(self.codes[np.asarray(index, dtype=np.intp)], self.texts)

    def tolist(self) -> list[str | None]:
        """The texts row by row, None where missing; made once."""
        if self._listed is None:
            named: list[str | None] = [*self.texts, None]  # -1 is the last
            self._listed = [named[code] for code in self.codes.tolist()]
        return self._listed

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str | None]:
        return iter(self.tolist())

    @overload
    def __getitem__(self, index: int) -> str | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[str | None]: ...
    def __getitem__(self, index: int | slice) -> str | list[str | None] | None:
        return self.tolist()[index]


Column: TypeAlias = list[Any] | NDArray[Any] | Categories | Quoted
"""From JSON: values as they were parsed, not looked at; of large records, for who counts, also float64 and `Quoted`.
From Arrow: numbers as float64 with NaN for missing, or as integers or booleans where none is missing; texts as
`Categories`; what is none of these as a list."""


@dataclass(slots=True, repr=False)
class Rows:
    """One prediction record: 0..N scored rows of one version and one arm. Not frozen, for speed; nobody changes it.

    `id` names the record: equal ids, the same record. `times` are ms since 1970 (UTC). `score`, `label`, `latency_ms`
    and `shadow_score` hold numbers and what is missing alone: a list with None, or float64 with NaN.
    """

    id: str
    model: str
    prediction_id: Sequence[str]
    times: Sequence[int]
    features: dict[str, Column]
    source: str = "producer"
    version: str | None = None
    digest: str | None = None
    arm: str | None = None
    epoch: int | None = None
    entity_id: Sequence[str] | None = None
    score: Column | None = None
    label: Column | None = None
    latency_ms: Column | None = None
    status: list[str] | None = None
    shadow_version: str | None = None
    shadow_score: Column | None = None

    def __len__(self) -> int:
        return len(self.prediction_id)

    def __repr__(self) -> str:
        """How many, and whose: the values are the producer's, and nobody's to log."""
        return f"Rows({self.model!r}, version={self.version!r}, {len(self)} rows)"

    @property
    def entities(self) -> Sequence[str]:
        """What a row is split and bucketed by: its entity, else its prediction id."""
        return self.entity_id or self.prediction_id


def listed(column: Column) -> list[Any]:
    """The values as JSON has them, None where one is missing; infinities stay."""
    if isinstance(column, list):
        return column
    values: list[Any] = column.tolist()
    if isinstance(column, np.ndarray) and column.dtype.kind == "f" and np.isnan(column).any():
        return [None if value != value else value for value in values]  # noqa: PLR0124 -- NaN alone is unequal to itself
    return values


def rows_of(event: PredictionsLogged, identity: str | None = None) -> Rows:
    """The rows of an event; they are named by its id if nothing else is given."""
    return Rows(
        identity or str(event.id), event.model, list(event.prediction_id), list(event.times),
        {name: list(values) for name, values in event.features.items()},
        event.source, event.version, event.digest, event.arm, event.epoch,
        entity_id=_list(event.entity_id), score=_list(event.score), label=_list(event.label),
        latency_ms=_list(event.latency_ms), status=_list(event.status),
        shadow_version=event.shadow.version if event.shadow else None,
        shadow_score=list(event.shadow.score) if event.shadow else None,
    )  # fmt: skip


def _list(column: Sequence[Any] | None) -> list[Any] | None:
    return None if column is None else list(column)
