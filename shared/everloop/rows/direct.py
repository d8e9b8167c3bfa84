"""Usual Arrow streams without pyarrow: one batch, not compressed, of what a `Plan` is made for.

Columns are views into the record, whose bounds are held by numpy. As with JSON the tests are sufficient, not necessary:
what they do not prove is left to `arrow`, which reads it or says why not. So speed never decides what is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from everloop.events import LATEST_MS, MOST_ROWS
from everloop.listed import Named, Texts, Whole, ends_of, evenly
from everloop.rows.arrays import MOST_BYTES, STATUSES
from everloop.rows.arrow import FEATURE, MOST_CELLS
from everloop.rows.plans import UNUSUAL, Field, Form, Plan, plan_of
from everloop.rows.stream import BATCH, DICTIONARY, Content, Framed, head, messages, usual
from everloop.rows.values import Categories, Rows

There = NDArray[np.bool_] | None
"""Which values of a column are there; None for all."""
_ALIGNED: Final = 8
_REMEMBERED: Final = 2_048
"""Bytes of a dictionary that is worth remembering: records of one producer repeat those of few texts."""
_OFFSET, _BYTE = np.dtype("<i4"), np.dtype(np.uint8)
_BUFFERS: Final[Mapping[Form, int]] = {"number": 2, "truth": 2, "category": 2, "text": 3}


class Body(NamedTuple):
    """The body of one batch: `size` bytes from `start` of the record."""

    value: bytes
    start: int
    size: int
    held: Content

    def view(self, number: int, kind: np.dtype[Any], count: int) -> NDArray[Any]:
        """So many values of a buffer. Raises `ValueError` where they are not all there, `IndexError` for no buffer."""
        offset, length = self.held.buffers[number]
        if offset % _ALIGNED or not 0 <= offset <= offset + length <= self.size or length < count * kind.itemsize:
            raise ValueError(number)
        return np.frombuffer(self.value, kind, count, self.start + offset)

    def bits(self, number: int, count: int) -> NDArray[np.bool_]:
        """So many truth values of a buffer. Raises as `view`."""
        return np.unpackbits(self.view(number, _BYTE, (count + 7) // 8), count=count, bitorder="little").view(np.bool_)


def read_direct(value: bytes, identity: str, model: str) -> Rows | None:
    """The rows of one stream, as `arrow.read_arrow` gives them; None where it is not proved to be usual."""
    try:
        schema, *rest = messages(value)
        plan = plan_of(schema)
        return None if plan is None else _rows(identity, model, plan, _columns(value, plan, rest))
    except UNUSUAL:
        return None


def _rows(identity: str, model: str, plan: Plan, columns: Mapping[str, Any]) -> Rows:
    said, get = plan.said, columns.get
    return Rows(
        identity, model, columns["prediction_id"], _times(columns["time"]),
        {name[len(FEATURE) :]: column for name, column in columns.items() if name.startswith(FEATURE)},
        plan.source, said.get("version"), said.get("digest"), said.get("arm"), plan.epoch,
        get("entity_id"), _floats(get("score")), _floats(get("label")), _floats(get("latency_ms")),
        _statuses(get("status")), said.get("shadow_version"), _floats(get("shadow_score")),
    )  # fmt: skip


def _columns(value: bytes, plan: Plan, rest: Sequence[Framed]) -> dict[str, Any]:
    """By name. Raises one of `UNUSUAL`, as all below."""
    *dictionaries, batch = rest
    rows, fields = batch.head.rows, plan.fields
    if batch.head.kind != BATCH or rows > MOST_ROWS or rows * len(fields) > MOST_CELLS:
        raise ValueError(rows)
    *others, held = [usual(one) for one in rest]
    if held.bytes + sum([one.bytes for one in others]) > MOST_BYTES:
        raise ValueError(rows)
    body, texts = Body(value, batch.body, batch.head.size, held), _dictionaries(value, dictionaries)
    found, at = dict[str, Any](), 0
    for one, (length, missing) in zip(fields, held.nodes, strict=True):
        if length != rows:
            raise ValueError(length)
        found[one.name] = _READ[one.form](body, at, rows, _there(body, at, rows, missing), one, texts)
        at += _BUFFERS[one.form]
    if at != len(held.buffers) or texts:
        raise ValueError(at)
    return found


def _dictionaries(value: bytes, found: Sequence[Framed]) -> dict[int, Named]:
    """The texts that each numbers, all of them distinct."""
    made = dict[int, Named]()
    for one in found:
        number = usual(one).number
        if one.head.kind != DICTIONARY or number in made:
            raise ValueError(number)
        size = one.head.size
        read = known_texts if size + len(one.metadata) <= _REMEMBERED else _texts_in
        made[number] = read(one.metadata, value[one.body : one.body + size])
    return made


def _texts_in(metadata: bytes, value: bytes) -> Named:
    """Those of one dictionary, from its bytes alone."""
    one = Framed(head(metadata), metadata, 0)
    held = usual(one)
    body = Body(value, 0, len(value), held)
    ((rows, missing),) = held.nodes
    if rows < 0:
        raise ValueError(rows)
    texts = Named(_raw(body, 0, rows, _there(body, 0, rows, missing)).tolist())
    if len(set(texts)) < rows:
        raise ValueError(rows)
    return texts


known_texts: Final = lru_cache(maxsize=512)(_texts_in)
"""The same, remembered by all bytes that are looked at: nothing else goes into it."""


def _there(body: Body, at: int, rows: int, missing: int) -> There:
    if not missing and not body.held.buffers[at][1]:
        return None
    there = body.bits(at, rows)
    if np.count_nonzero(there) != rows - missing:
        raise ValueError(missing)
    return there if missing else None


def _raw(body: Body, at: int, rows: int, there: There) -> Texts:
    """Texts whose offsets grow, and whose bytes nobody has looked at."""
    offsets = body.view(at + 1, _OFFSET, rows + 1)
    first, last = int(offsets[0]), int(offsets[-1])
    if there is not None or first < 0 or last < first:
        raise ValueError(at)
    data = body.view(at + 2, _BYTE, last)[first:].tobytes()
    if not first and 0 < rows <= MOST_ROWS and not last % rows:
        even = evenly(rows, last // rows)
        if offsets.tobytes() == even.tobytes():  # as bytes: a quarter of what numpy takes to compare them
            return Texts(data, even, last // rows)
    if bool((offsets[1:] < offsets[:-1]).any()):
        raise ValueError(at)
    return Texts(data, offsets - first)


def _text(body: Body, at: int, rows: int, there: There, *_: object) -> Texts:
    """Of letters that are one byte each, so that no offset leads into the middle of one."""
    texts = _raw(body, at, rows, there)
    if not texts.data.isascii():
        raise ValueError(at)
    return texts


def _category(body: Body, at: int, rows: int, there: There, one: Field, texts: dict[int, Named]) -> Categories:
    """Each text of the dictionary occurs, and no other column has it."""
    named, codes = texts.pop(one.number), body.view(at + 1, one.kind, rows)
    used = codes if there is None else codes[there]
    if used.size and int(np.maximum.reduce(used)) >= len(named):  # so that what is counted next has an end
        raise ValueError(one.number)
    if np.count_nonzero(np.bincount(used, minlength=len(named))) < len(named):
        raise ValueError(one.number)
    held = codes.astype(np.int32, copy=False)
    return Categories(held if there is None else np.where(there, held, np.int32(-1)), named)


def _number(body: Body, at: int, rows: int, there: There, one: Field, _: object) -> NDArray[Any]:
    """Floats as float64, NaN where missing; whole numbers as they are, none of which may be missing."""
    values = body.view(at + 1, one.kind, rows)
    if one.kind.kind == "f":
        values = values.astype(np.float64, copy=False)
        return values if there is None else np.where(there, values, np.nan)
    if there is not None:
        raise ValueError(at)
    return values


def _truth(body: Body, at: int, rows: int, there: There, *_: object) -> NDArray[np.bool_]:
    if there is not None:
        raise ValueError(at)
    return body.bits(at + 1, rows)


_READ: Final[Mapping[Form, Callable[..., Any]]] = {
    "number": _number, "truth": _truth, "category": _category, "text": _text,
}  # fmt: skip


def _times(values: NDArray[np.int64]) -> Whole:
    times = Whole(values)
    first, last = ends_of(times)
    if not 0 <= first <= last <= LATEST_MS:
        raise ValueError(len(values))
    return times


def _floats(values: NDArray[Any] | None) -> NDArray[np.float64] | None:
    return None if values is None else values.astype(np.float64, copy=False)


def _statuses(texts: Texts | None) -> list[str] | None:
    found = None if texts is None else texts.tolist()
    if found is not None and not STATUSES.issuperset(found):
        raise ValueError(len(found))
    return found
