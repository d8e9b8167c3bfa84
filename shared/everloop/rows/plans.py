"""What the schema of an Arrow stream says of every record that has it: looked at once, by pyarrow, and remembered.

A plan is made for usual schemas alone: plain numbers, truth values, ids as texts, other texts in dictionaries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from struct import error
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from everloop.errors import InvalidError
from everloop.rows.arrays import pyarrow
from everloop.rows.arrow import FEATURE, check_columns, epoch_of, said_of, source_of
from everloop.rows.stream import BEGIN, FRAME, SCHEMA, Framed, field, i64, table, u32

Form = Literal["number", "truth", "text", "category"]
UNUSUAL: Final = (InvalidError, error, ValueError, TypeError, LookupError, OverflowError)
"""What is raised where something is not proved to be usual."""
_LONGEST: Final = 16_384
"""Bytes of a schema that is worth remembering."""
_FLOATS: Final = {"double": "<f8", "float": "<f4"}
_WHOLE: Final = {f"{sign}int{8 * size}": f"<{sign or 'i'}{size}" for sign in ("", "u") for size in (1, 2, 4, 8)}
_REQUIRED: Final = {"prediction_id": "text", "time": "number"}
_OPTIONAL: Final = {
    "entity_id": "text", "status": "text",
    "score": "number", "label": "number", "latency_ms": "number", "shadow_score": "number",
}  # fmt: skip


class Field(NamedTuple):
    """One column: `kind` is numpy's type of its numbers, or of the codes of the dictionary with this `number`."""

    name: str
    form: Form
    kind: np.dtype[Any]
    number: int


class Plan(NamedTuple):
    """All columns, and what the metadata say once."""

    fields: tuple[Field, ...]
    said: Mapping[str, str]
    source: str
    epoch: int | None


def plan_of(schema: Framed) -> Plan | None:
    """None for a schema that is not usual."""
    usual = schema.head.kind == SCHEMA and len(schema.metadata) <= _LONGEST
    return _planned(schema.metadata) if usual else None


@lru_cache(maxsize=64)
def _planned(metadata: bytes) -> Plan | None:
    pa = pyarrow()
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(FRAME.pack(BEGIN, len(metadata)) + metadata))
        check_columns(schema, range(len(schema)), 0)
        fields = tuple(_field(*one) for one in zip(schema, _numbers(metadata), strict=True))
        said = said_of(schema.metadata or {})
        plan = Plan(fields, said, source_of(said), epoch_of(said))
    except (pa.ArrowException, OSError, *UNUSUAL):
        return None
    return plan if _is_usual(plan) else None


def _is_usual(plan: Plan) -> bool:
    forms = {one.name: one.form for one in plan.fields if not one.name.startswith(FEATURE)}
    times = [one.kind == np.int64 for one in plan.fields if one.name == "time"]
    shadows = ("shadow_score" in forms) == ("shadow_version" in plan.said)
    whole = _REQUIRED.items() <= forms.items() <= (_REQUIRED | _OPTIONAL).items()
    return whole and times == [True] and shadows


def _field(one: Any, number: int) -> Field:  # noqa: ANN401 -- pyarrow is published without types
    """Raises `KeyError` for types, and for texts of features without a dictionary, that are left to pyarrow."""
    name, held = one.name, str(one.type)
    if pyarrow().types.is_dictionary(one.type):
        if str(one.type.value_type) != "string":
            raise KeyError(held)
        return Field(name, "category", np.dtype(_WHOLE[str(one.type.index_type)]), number)
    if held == "string" and not name.startswith(FEATURE):
        return Field(name, "text", np.dtype("<i4"), number)
    if held == "bool":
        return Field(name, "truth", np.dtype(np.bool_), number)
    return Field(name, "number", np.dtype((_FLOATS | _WHOLE)[held]), number)


def _numbers(metadata: bytes) -> Iterator[int]:
    """The dictionary of each column (0 as well where it has none), as `Schema.fbs` says. Raises for big-endian data."""
    schema = table(metadata, field(metadata, table(metadata, 0), 2))
    endianness = field(metadata, schema, 0)
    if endianness and metadata[endianness]:
        raise ValueError(endianness)
    fields = table(metadata, field(metadata, schema, 1))
    for number in range(u32(metadata, fields)):
        encoded = field(metadata, table(metadata, fields + 4 + 4 * number), 4)
        yield i64(metadata, field(metadata, table(metadata, encoded), 0)) if encoded else 0
