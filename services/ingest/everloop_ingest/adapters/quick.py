"""From bytes to the data of a record, for bodies of which fast tests prove that they are good throughout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson

from everloop import keys
from everloop.events import LabelsLogged, PredictionsLogged, named_id
from everloop_ingest.adapters.bodies import Body, Judged, is_one_row
from everloop_ingest.adapters.records import Told
from everloop_ingest.domain import proving
from everloop_ingest.domain.reading import Stamp

ODD: Final = (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError)
"""What odd data may bring about in the tests. (Pydantic's and orjson's errors are `ValueError`s.)"""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A JSON object without a key twice. `clean`: it has no text with a control character."""

    body: Body
    clean: bool


Prove = Callable[[Parsed, Stamp], Judged | None]


def parse(raw: bytes) -> Parsed | None:
    """The body; None where it takes a closer look to say whether it is one, and what is wrong with it."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if type(body) is not dict or not keys.are_once(raw, keys.count(body)):
        return None
    return Parsed(body, clean=raw.isascii() and b"\\" not in raw and b"\x7f" not in raw)


def predictions(parsed: Parsed, stamp: Stamp) -> Judged | None:
    """Columns, or one row; None for what is not proved, and for what is refused for its signature."""
    prove = proving.row if is_one_row(parsed.body) else proving.columns
    try:
        data = prove(parsed.body, clean=parsed.clean, binary=stamp.binary)
    except ODD:
        return None
    signature = stamp.signatures.of(data.get("version")) if data["source"] != "bootstrap" else None
    unlike = signature.unlike(data["features"]) if signature is not None else ()
    if unlike and stamp.signatures.refuses:
        return None
    return Judged(_told(PredictionsLogged, parsed, data, stamp), len(data["prediction_id"]), unlike=unlike)


def labels(parsed: Parsed, stamp: Stamp) -> Judged | None:
    """Columns; None for what is not proved."""
    try:
        data = proving.labels(parsed.body, binary=stamp.binary)
    except ODD:
        return None
    return Judged(_told(LabelsLogged, parsed, data, stamp), len(data["prediction_id"]))


def feedback(parsed: Parsed, stamp: Stamp) -> Judged | None:
    """None: each row is looked at, since names and bounds are the loop file's."""
    del parsed, stamp
    return None


def _told(kind: type[PredictionsLogged | LabelsLogged], parsed: Parsed, data: proving.Data, stamp: Stamp) -> Told:
    identity, model = named_id(kind.__name__, stamp.name), str(parsed.body["model"])
    return Told(kind.TYPE, identity, stamp.now, model, data["prediction_id"], orjson.dumps(data))
