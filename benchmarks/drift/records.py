"""Records of scored rows in the three forms that producers send, with the heartbeats between them.

Rows repeat after `DIFFERENT`; ids of records, times of rows and, in plain rows, prediction ids never do. Each second of
event time has its heartbeat in every partition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final, Literal
from uuid import UUID

import orjson

from benchmarks.drift.world import START, START_MS, VERSION, columns, names, scores
from everloop import topics
from everloop.codec import encode, envelope
from everloop.events import EVERY_MODEL, HeartbeatSent, PredictionsLogged
from everloop.rows import Rows, write_rows
from everloop.runtime.log import Message, Place

Form = Literal["json", "arrow", "plain"]
DIFFERENT: Final = 50_000
PLACES: Final = tuple(Place(topics.PREDICTIONS.name, number) for number in range(topics.PREDICTIONS.partitions))
SECOND_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Load:
    """`records` of `rows` rows each in every partition, spread evenly over `models`.

    `rate`: rows per second of event time, in all partitions together. Where time stands `still` the heartbeats say so,
    and no window ever closes. `apart`: each model is in one partition, as where producers take it as the key; else all
    are in all.
    """

    form: Form
    rows: int
    records: int
    models: int = 1
    rate: int = 10_000
    still: bool = False
    apart: bool = False

    @property
    def total(self) -> int:
        """Rows in all partitions."""
        return self.rows * self.records * len(PLACES)

    @property
    def between(self) -> int:
        """Records between two heartbeats of a partition."""
        return max(1, self.rate // len(PLACES) // self.rows)

    def time_of(self, turn: int) -> int:
        """When (ms) the records of a turn begin; a turn is one record in each partition."""
        return START_MS + turn * self.rows * len(PLACES) * SECOND_MS // self.rate

    def counted(self, committed: Mapping[Place, int]) -> int:
        """How many rows lie before these offsets: each heartbeat has `between` records behind it."""
        whole, rest = zip(*(divmod(offset, self.between + 1) for offset in committed.values()), strict=True)
        records: int = sum(whole) * self.between + sum(max(0, one - 1) for one in rest)
        return self.rows * records

    def messages(self) -> Iterator[Message]:
        """All of it, round the partitions."""
        made = _FORMS[self.form](self)
        for number in range(0, self.records, self.between):
            yield from _beats(START_MS if self.still else self.time_of(number))
            yield from islice(made, min(self.between, self.records - number) * len(PLACES))


def _beats(now_ms: int) -> Iterator[Message]:
    event = HeartbeatSent.named(str(now_ms), _moment(now_ms), EVERY_MODEL, replica="0", clocks={EVERY_MODEL: now_ms})
    value, headers = encode(event, source="ingest", recorded=START)
    for place in PLACES:
        yield Message(place, None, value, headers)


def _json(load: Load) -> Iterator[Message]:
    """Columns in JSON, by the contract. Only the times of a record are written anew."""
    bodies = [_body(part, seed) for seed, part in enumerate(_parts(load))]
    for number, place, model, now in _numbered(load):
        times = ",".join(map(str, range(now, now + load.rows)))
        value = bodies[number % len(bodies)] + times.encode() + b"]}"
        headers = envelope(
            PredictionsLogged.TYPE, UUID(int=number), _moment(now), model, source="serving", recorded=START
        )  # fmt: skip
        yield Message(place, None, value, headers)


def _body(rows: int, seed: int) -> bytes:
    said = {
        "source": "serving", "version": VERSION, "arm": "champion", "epoch": 1, "prediction_id": _ids(rows, seed),
        "features": columns(rows, seed), "score": scores(rows, seed), "times": [],
    }  # fmt: skip
    return orjson.dumps(said).removesuffix(b"]}")


def _arrow(load: Load) -> Iterator[Message]:
    """A stream of one batch, texts as dictionaries, not compressed."""
    parts = [(_ids(rows, seed), columns(rows, seed), scores(rows, seed)) for seed, rows in enumerate(_parts(load))]
    for number, place, model, now in _numbered(load):
        ids, features, score = parts[number % len(parts)]
        rows = Rows(
            str(UUID(int=number)), model, ids, list(range(now, now + load.rows)), dict(features), "serving", VERSION,
            arm="champion", epoch=1, score=score,
        )  # fmt: skip
        yield Message(place, None, *write_rows(rows, source="serving", now=_moment(now)))


def _plain(load: Load) -> Iterator[Message]:
    """One row as a JSON object, of a producer that knows no CloudEvents."""
    made, score = columns(DIFFERENT, seed=0), scores(DIFFERENT, seed=0)
    rows = [
        orjson.dumps({"version": VERSION, "features": dict(zip(made, values, strict=True)), "score": one})[:-1]
        for values, one in zip(zip(*made.values(), strict=True), score, strict=True)
    ]
    for number, place, model, now in _numbered(load):
        named = f',"model":"{model}","prediction_id":"{number:012x}","time":{now}}}'
        yield Message(place, None, rows[number % DIFFERENT] + named.encode())


def _parts(load: Load) -> list[int]:
    return [load.rows] * max(1, DIFFERENT // load.rows)


def _numbered(load: Load) -> Iterator[tuple[int, Place, str, int]]:
    """Number, partition, model and first time (ms) of each record."""
    models = names(load.models)
    for number in range(load.records * len(PLACES)):
        turn, place = divmod(number, len(PLACES))
        mine = models[place :: len(PLACES)] if load.apart else models
        yield number, PLACES[place], mine[turn % len(mine)], load.time_of(turn)


def _ids(rows: int, seed: int) -> list[str]:
    return [f"{seed:04x}{row:08x}" for row in range(rows)]


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


_FORMS: Final = {"json": _json, "arrow": _arrow, "plain": _plain}
