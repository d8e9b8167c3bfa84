"""`ingest.archive`: one worker; rows to the archive and the join, then their labels to outcomes and the archive."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Final, Literal
from uuid import UUID

from benchmarks.broker import broker, load, progress
from benchmarks.children import Child, Usage, child
from benchmarks.drift.world import START, START_MS, columns, introduced, names, scores
from benchmarks.figures import Measured, Say, Size
from benchmarks.repeats import repeats
from everloop import topics
from everloop.codec import encode
from everloop.events import LabelsLogged, PredictionsLogged
from everloop.rows import Rows, write_rows
from everloop.runtime.log import Message, Place
from everloop.topics import Topic

Form = Literal["arrow", "json"]
ROWS: Final = 1_000
RECORDS: Final = 1_000
"""Of predictions, and as many of labels."""
QUICK: Final = 10
DIFFERENT: Final = 20
WARM: Final = 5
"""One part in so many is warm-up."""
PARTS: Final = topics.PARTITIONS
LIMIT_S: Final = 900.0
MODEL: Final = names(1)[0]


@dataclass(frozen=True, slots=True)
class Lane:
    """What a room reads of a topic: `records` in the end."""

    room: str
    topic: Topic
    records: int


def measure(size: Size, say: Say) -> Measured:
    """Rows, each with its label, per CPU-second of the worker; Arrow, and the same in JSON beside it."""
    records = RECORDS // size.of(1, QUICK)
    arrow = repeats(size.of(3, 1), lambda _: _run("arrow", records, size), say)
    json = _run("json", records, size)
    return Measured(
        ours=tuple(_both(*one) for one in arrow),
        also={
            "rows/CPU-s to archive and join, without labels": median(rows.per_cpu_s for rows, _ in arrow),
            "labels/CPU-s to outcomes and archive": median(labels.per_cpu_s for _, labels in arrow),
            "rows/s on the wall": median(1 / (1 / rows.per_s + 1 / labels.per_s) for rows, labels in arrow),
            "the same of JSON: rows/CPU-s with labels": _both(*json),
            "without": json[0].per_cpu_s,
            "peak RSS MiB": median(max(rows.rss_mb, labels.rss_mb) for rows, labels in arrow),
        },
    )


def _both(rows: Usage, labels: Usage) -> float:
    """A row and its label, one after the other."""
    return 1 / (1 / rows.per_cpu_s + 1 / labels.per_cpu_s)


def _run(form: Form, records: int, size: Size) -> tuple[Usage, Usage]:
    """What the worker took for rows, and then for their labels, all of which meet their prediction."""
    each = records * PARTS
    first = [
        Lane("route", topics.PREDICTIONS, records),
        Lane("join", topics.KEYS, each),
        Lane("archive", topics.PREDICTIONS, records),
    ]
    then = [
        Lane("route", topics.LABELS, records),
        Lane("join", topics.KEYS, 2 * each),
        Lane("archive", topics.OUTCOMES, each),
    ]
    warm, total = size.of(records * ROWS // WARM, 0), records * ROWS
    with tempfile.TemporaryDirectory() as scratch, broker(Path(scratch, "kafka")) as address:
        load(address, chain(introduced([MODEL]), _predictions(form, records)))
        with _worker(address, Path(scratch)) as process:
            with _done(address, first, {}) as done:
                rows = process.work(done, warm=warm, total=total, limit_s=LIMIT_S)
            load(address, _labels(records))
            with _done(address, then, {"join": each}) as done:
                labels = process.work(done, warm=warm, total=total, limit_s=LIMIT_S)
    return rows, labels


@contextmanager
def _worker(address: str, scratch: Path) -> Iterator[Child]:
    told = {
        "EVERLOOP_BROKER": address, "EVERLOOP_VAR": str(scratch / "var"), "EVERLOOP_LINGER_S": "2",
        "EVERLOOP_REMEMBERED": str(RECORDS * ROWS),
    }  # fmt: skip
    with child("everloop_ingest", ["worker"], scratch / "worker.log", told) as process:
        yield process


@contextmanager
def _done(address: str, lanes: list[Lane], before: Mapping[str, int]) -> Iterator[Callable[[], int]]:
    """How many rows are done: the mean of what each lane has committed, less what it had `before`."""
    with ExitStack() as open_:
        found = [
            open_.enter_context(progress(address, f"everloop.ingest.{one.room}", _places(one.topic))) for one in lanes
        ]

        def done() -> int:
            shares = [
                min(1.0, (count() - before.get(one.room, 0)) / (one.records - before.get(one.room, 0)))
                for one, count in zip(lanes, found, strict=True)
            ]
            return round(sum(shares) / len(shares) * lanes[0].records * ROWS)

        yield done


def _places(topic: Topic) -> list[Place]:
    return [Place(topic.name, number) for number in range(topic.partitions)]


def _predictions(form: Form, records: int) -> Iterator[Message]:
    """20 columns in records of `ROWS`; ids never repeat."""
    made = [(dict(columns(ROWS, seed)), scores(ROWS, seed)) for seed in range(DIFFERENT)]
    for number in range(records):
        features, score = made[number % DIFFERENT]
        ids, times = _ids(number), list(range(START_MS + number, START_MS + number + ROWS))
        identity = UUID(int=number + 1)
        if form == "arrow":
            rows = Rows(
                str(identity), MODEL, ids, times, {**features}, "serving", "1", digest="0" * 64, arm="champion",
                epoch=1, score=score,
            )  # fmt: skip
            value, headers = write_rows(rows, source="serving", now=START)
        else:
            event = PredictionsLogged(
                id=identity, time=START, model=MODEL, source="serving", version="1", digest="0" * 64, arm="champion",
                epoch=1, prediction_id=tuple(ids), times=tuple(times), score=tuple(score),
                features={name: tuple(values) for name, values in features.items()},
            )  # fmt: skip
            value, headers = encode(event, source="serving", recorded=START)
        yield Message(Place(topics.PREDICTIONS.name, number % PARTS), None, value, headers)


def _labels(records: int) -> Iterator[Message]:
    for number in range(records):
        event = LabelsLogged(
            id=UUID(int=number + 1), time=START, model=MODEL, prediction_id=tuple(_ids(number)),
            label=(float(number % 2),) * ROWS, labelled_at=(START_MS + number,) * ROWS,
        )  # fmt: skip
        value, headers = encode(event, source="labels", recorded=START)
        yield Message(Place(topics.LABELS.name, number % PARTS), None, value, headers)


def _ids(number: int) -> list[str]:
    return [f"{number:020x}{row:012x}" for row in range(ROWS)]
