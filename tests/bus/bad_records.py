"""The catalogue of bad records on Kafka, among good ones, through the rooms that read rows.

Each bad record is a dead letter with its reason, or is taken for what it says; each good row is counted once, the books
balance, everything is committed, and no round of a room costs a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from everloop import topics
from everloop.artifacts import MemoryStore
from everloop.books import audit, unbalanced
from everloop.codec import Headers, encode
from everloop.events import DeadLettered, KeysRouted, PredictionsLogged, VersionPromoted
from everloop.metrics import Metrics
from everloop.rows import rows_of, write_rows
from everloop.runtime.data import DataService, Fold
from everloop.runtime.log import Log, Message, Place
from everloop_drift.adapters import WindowsFold
from everloop_ingest.adapters.archives import ArchiveFold
from everloop_ingest.adapters.joins import JoinFold
from everloop_ingest.adapters.routes import RouteFold
from tests.bus.rows import START, START_MS, a_record, events, make_known, plain_row, wall
from tests.bus.suite import structured

Raw = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of a record."""
ROUNDS: Final = 600
STOPPED_S: Final = 1.0
LARGE: Final = 7 * 1024 * 1024
YEAR_MS: Final = 365 * 86_400_000


@dataclass(frozen=True)
class Odd:
    """Records on `predictions`, the reason of each one's dead letter (None: none), and how many good rows they have."""

    records: Callable[[str], Sequence[Raw]]
    reason: str | None
    rows: int = 0


def columns(model: str, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 -- whatever JSON has
    names = [f"odd-{len(changed)}-0", f"odd-{len(changed)}-1"]
    good = {
        "version": "1", "prediction_id": names, "times": [START_MS + 2, START_MS + 3], "features": {"a": [0.5, None]},
        "score": [0.25, 0.75],
    }  # fmt: skip
    return {**good, **changed}


def headers(model: str, **changed: bytes | None) -> Headers:
    _, told = encode(a_record(model, "odd"), source="test", recorded=START)
    named: dict[str, Any] = {**dict(told), **{f"ce_{name}": raw for name, raw in changed.items()}}
    return tuple((name, raw) for name, raw in named.items() if raw is not None)


def values(*raws: bytes | None) -> Callable[[str], Sequence[Raw]]:
    """These values, each as a binary event and as a plain row."""
    return lambda model: [(b"k", raw, told) for raw in raws for told in (headers(model), ())]


def changed(**more: Any) -> Callable[[str], Sequence[Raw]]:  # noqa: ANN401 -- whatever JSON has
    """Columns with something else in them."""
    return lambda model: [(b"k", orjson.dumps(columns(model, **more)), headers(model))]


def said(raw: bytes) -> Callable[[str], Sequence[Raw]]:
    """Good columns in which a text is put for the first score."""
    return lambda model: [(b"k", orjson.dumps(columns(model)).replace(b"0.25", raw), headers(model))]


def with_headers(
    *more: tuple[str, bytes], name: str = "headed", **attributes: bytes | None
) -> Callable[[str], Sequence[Raw]]:
    """A good record with other headers."""

    def made(model: str) -> Sequence[Raw]:
        value, told = encode(a_record(model, name), source="test", recorded=START)
        named: dict[str, Any] = {**dict(told), **{f"ce_{key}": raw for key, raw in attributes.items()}}
        return [(b"k", value, (*((key, raw) for key, raw in named.items() if raw is not None), *more))]

    return made


def keyed(*keys: bytes | None) -> Callable[[str], Sequence[Raw]]:
    return lambda model: [(key, plain_row(model, f"key-{number}"), ()) for number, key in enumerate(keys)]


def same_id(model: str) -> Sequence[Raw]:
    """A record, and another under its id."""
    event = a_record(model, "twice")
    first, told = encode(event, source="test", recorded=START)
    other, _ = encode(event.model_copy(update={"score": (0.1, 0.2)}), source="test", recorded=START)
    return [(b"k", first, told), (b"k", other, told)]


def another_event(model: str) -> Sequence[Raw]:
    return [(b"k", b"{}", headers(model, type=VersionPromoted.TYPE.encode()))]


def of_versions(*numbers: int) -> Callable[[str], Sequence[Raw]]:
    """The same event in versions that there are not."""
    kinds = [b"io.everloop.predictions.logged.v%d" % number for number in numbers]
    return lambda model: [(b"k", orjson.dumps(columns(model)), headers(model, type=kind)) for kind in kinds]


def arrow(cut: int) -> Callable[[str], Sequence[Raw]]:
    def made(model: str) -> Sequence[Raw]:
        value, told = write_rows(rows_of(a_record(model, f"arrow-{cut}")), source="test", now=START)
        return [(b"k", value[: len(value) - cut], told)]

    return made


def whole(model: str) -> Sequence[Raw]:
    told = (("content-type", b"application/cloudevents+json"),)
    torn = structured(a_record(model, "torn"))[:-9]
    return [(b"k", torn, told), (b"k", b'{"data": {}, "data": {}}x', told)]


def at(*times: int) -> Callable[[str], Sequence[Raw]]:
    """Rows of odd times, one by one."""
    return lambda model: [
        (b"k", orjson.dumps({**orjson.loads(plain_row(model, f"at-{time_}")), "time": time_}), ()) for time_ in times
    ]


def of_strangers(model: str) -> Sequence[Raw]:
    """A hundred models that nobody has applied."""
    return [(b"k", plain_row(f"{model}-stranger-{number}", f"s-{number}"), ()) for number in range(100)]


FLOOD: Final = tuple((f"x-{number}", b"y") for number in range(5_000))
CATALOGUE: Final[Mapping[str, Odd]] = {
    "no value": Odd(values(None), "null_value"),
    "an empty, a binary and no key": Odd(keyed(b"", b"\xff\xfe", None), None, 3),
    "torn JSON": Odd(values(b"{", b'{"prediction_id": ["a"', b'{"a": 1,}', b""), "malformed"),
    "garbage behind": Odd(values(b"{}x", b"{} {}", b"{}\0", b"{}{}"), "malformed"),
    "no text": Odd(values(b"\xff\xfe", b'{"a": "\xff"}', "{}".encode("utf-16"), b"\xef\xbb\xbf{}"), "malformed"),
    "half a surrogate pair": Odd(values(rb'{"prediction_id": "\ud800"}'), "malformed"),
    "NaN": Odd(said(b"NaN"), "malformed"),
    "Infinity": Odd(said(b"-Infinity"), "malformed"),
    "1e400": Odd(said(b"1e400"), "malformed"),
    "5,000 digits": Odd(said(b"9" * 5_000), "malformed"),
    "a key twice": Odd(said(b'0.25], "score": [0.25'), "malformed"),
    "a feature twice": Odd(
        lambda model: [(b"k", orjson.dumps(columns(model)).replace(b'"a":', b'"a":[1,2],"a" :'), headers(model))],
        "malformed",
    ),
    "a key of a plain row twice": Odd(
        lambda model: [(b"k", plain_row(model, "twice")[:-1] + b',"score":0.5}', ())], "malformed"
    ),
    "no object": Odd(values(b"[]", b"1", b'"x"', b"null", b"true"), "shape"),
    "nested deep": Odd(values(b"[" * 2_000 + b"]" * 2_000), "malformed"),
    "unequal columns": Odd(changed(times=[START_MS]), "shape"),
    "a score as text": Odd(changed(score=["0.25", 0.75]), "shape"),
    "an id that is none": Odd(changed(prediction_id=[1, 2]), "shape"),
    "an unknown key": Odd(changed(who=1), "shape"),
    "a key in capitals": Odd(changed(Score=[1, 2]), "shape"),
    "3,000 features": Odd(changed(features={str(number): [1, 2] for number in range(3_000)}), "shape"),
    "a version of the event that never was": Odd(of_versions(0), "unknown_type"),
    "a newer version of the event": Odd(of_versions(2, 99), "newer_version"),
    "an event of a service": Odd(another_event, "shape"),
    "an id with another content": Odd(same_id, None, 2),
    "thousands of headers": Odd(with_headers(*FLOOD, name="flood"), None, 2),
    "a huge header": Odd(with_headers(("x", b"y" * 1_000_000), name="huge"), None, 2),
    "headers of Faust": Odd(with_headers(("Faust-Ag-ReplyTo", b"evil"), ("faust", b"\xff"), name="faust"), None, 2),
    "a signature that nobody knows": Odd(with_headers(("ce_signature", b"x"), name="signed"), None, 2),
    "attributes that are no text": Odd(with_headers(subject=b"\xff\xfe"), "malformed"),
    "attributes that are missing": Odd(with_headers(id=None), "shape"),
    "a time that is none": Odd(with_headers(time=b"noon"), "shape"),
    "a torn Arrow stream": Odd(arrow(20), "malformed"),
    "an empty Arrow stream": Odd(lambda model: [(b"k", b"", arrow(0)(model)[0][2])], "malformed"),
    "a torn event in structured mode": Odd(whole, "malformed"),
    "times below 0 and beyond the calendar": Odd(at(-1, 10**18), "shape"),
    "times of 1970 and in ten years": Odd(at(0, START_MS + 10 * YEAR_MS), None, 2),
    "models that are not applied": Odd(of_strangers, None, 0),
    "megabytes of nothing": Odd(values(b" " * LARGE, b"x" * LARGE), "malformed"),
}  # fmt: skip


@dataclass
class Rooms:
    """Every room that reads rows, on one log."""

    client: Callable[[], Log]

    def __post_init__(self) -> None:
        """Start them."""
        metrics = Metrics()
        archive = ArchiveFold(MemoryStore(), wall, metrics, linger_ms=0)
        folds: Sequence[Fold] = (RouteFold(wall, metrics), JoinFold(wall, metrics), archive, WindowsFold(wall, metrics))
        self.services = [DataService(fold, self.client(), replica="0") for fold in folds]
        self.slowest_s = 0.0

    def run(self, done: Callable[[], bool]) -> None:
        """Until they are at rest and it is done. What a round costs is CPU: how busy the machine is must not decide."""
        for _ in range(ROUNDS):
            moved = [self._step(service) for service in self.services]
            if not any(moved) and done():
                return
        raise AssertionError("the rooms did not get there")

    def close(self) -> None:
        for service in self.services:
            service.close()

    def _step(self, service: DataService) -> bool:
        began = time.thread_time()
        moved = service.step(0.02)
        self.slowest_s = max(self.slowest_s, time.thread_time() - began)
        return moved


def good(model: str, name: str) -> PredictionsLogged:
    return a_record(model, f"good-{name}")


def require_harmless(client: Callable[[], Log], model: str, odd: Mapping[str, Odd]) -> None:
    """Put good records before and behind each bad one, run the rooms, and look at everything that they have said."""
    log = client()
    make_known(log, model)
    rooms = Rooms(client)
    try:
        _say(log, Place(topics.PREDICTIONS.name, 0), good(model, "first"))
        rooms.run(lambda: counted(log) == 2)  # what is loaded when it is needed first is loaded now
        rooms.slowest_s = 0.0
        expected, rows = _spoil(log, model, odd)
        rooms.run(lambda: counted(log) >= 2 + rows)
    finally:
        rooms.close()
    letters = [one for one in events(log, topics.DLQ) if isinstance(one, DeadLettered)]
    assert {(Place(one.topic, one.partition), one.offset): one.reason for one in letters} == expected
    assert counted(log) == 2 + rows
    routed = {one.id: one for one in events(log, topics.KEYS) if isinstance(one, KeysRouted) and one.model == model}
    names = [name for one in routed.values() for name in one.prediction_id if name.startswith("good-")]
    assert sorted(names) == sorted(
        name for sent in ("first", *_labels(odd)) for name in good(model, sent).prediction_id
    )
    assert unbalanced(audit(log)) == []
    assert all(one.behind == 0 for one in audit(log) if one.group != "everloop.ingest.archive")
    assert rooms.slowest_s < STOPPED_S


def counted(log: Log) -> int:
    """Rows that the windows of drift have counted."""
    return sum(one.counts.get("counted", 0) for one in audit(log) if one.group == "everloop.drift.windows")


def _labels(odd: Mapping[str, Odd]) -> list[str]:
    return [f"{number}-{half}" for number in range(len(odd)) for half in ("before", "behind")]


def _spoil(log: Log, model: str, odd: Mapping[str, Odd]) -> tuple[dict[tuple[Place, int], str], int]:
    """Publish all; the reason of each dead letter that is expected, by place and offset, and how many rows are good."""
    expected: dict[tuple[Place, int], str] = {}
    for number, one in enumerate(odd.values()):
        place = Place(topics.PREDICTIONS.name, number % topics.PREDICTIONS.partitions)
        _say(log, place, good(model, f"{number}-before"))
        offsets = log.publish([Message(place, *record) for record in one.records(model)])
        _say(log, place, good(model, f"{number}-behind"))
        expected |= {(place, offset): one.reason for offset in offsets if one.reason}
    return expected, sum(4 + one.rows for one in odd.values())


def _say(log: Log, place: Place, event: PredictionsLogged) -> None:
    value, told = encode(event, source="test", recorded=START)
    log.publish([Message(place, None, value, told)])
