"""A stream of predictions with all that happens to one, and another way to its windows: row by row, then pandas.

The recomputation knows the rules of the design page and none of the engine's code: a row's fate from its own time and
the heartbeats before it in its partition, counts by `pandas.cut`, sums by `groupby`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
import pandas as pd
from pydantic import JsonValue

from everloop import topics
from everloop.buckets import bucket, partition
from everloop.codec import encode
from everloop.events import (
    Event,
    FileRef,
    HeartbeatPassed,
    HeartbeatSent,
    LoopApplied,
    ModelVersionCreated,
    OutcomesJoined,
    PredictionsLogged,
    ShadowScores,
    Snapshot,
    named_id,
)
from everloop.loop import Loop
from everloop.profile import Profile, build_profile
from everloop.profile.segments import Given, with_segments
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryClient

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
START_MS: Final = round(START.timestamp() * 1000)
HOUR: Final = 3_600_000
GRACE, HORIZON = 120_000, HOUR
MODELS: Final = ("alpha", "beta")
VERSIONS: Final = ("1", "2")
HOURS: Final = 7
FEATURES: Final = ("n", "w")
MOST: Final = 2
"""Values of w that have a segment of their own."""


class Row(NamedTuple):
    """One scored row, and where its record stands; of an outcome `plain` says that its record carried w."""

    model: str
    version: str
    arm: str
    time: int
    n: Any
    w: Any
    score: float | None
    entity: str
    shadow: float | None
    watermark: int | None
    plain: bool = True
    label: float | None = None


class Wrong(NamedTuple):
    """Outcomes that are corrected in this hour, in their partition, and the values of w."""

    hour: int
    number: int
    joined: OutcomesJoined
    w: Sequence[Any]


def profile() -> Profile:
    """The reference of every version."""
    rng = np.random.default_rng(7)
    columns = {"n": rng.normal(size=2000), "w": rng.choice(["a", "b", "c"], 2000).tolist()}
    scores = rng.random(2000)
    made = build_profile(columns, scores=scores)
    by = {"w": columns["w"]}
    return with_segments(made, MOST, Given(by, columns), Given(by, {"score": scores}))


PROFILE: Final = profile()


@dataclass
class Stream:
    """Messages in the order in which they are sent, and the rows that count, late ones and others left out."""

    seed: int
    windows: Mapping[str, JsonValue]
    messages: list[Message] = field(default_factory=list)
    inputs: list[Row] = field(default_factory=list)
    outcomes: list[Row] = field(default_factory=list)
    clocks: dict[int, int] = field(default_factory=dict)
    fates: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Send hour after hour; labels come an hour later, heartbeats at their own pace in each partition."""
        self.random = np.random.default_rng(self.seed)
        self.corrector = np.random.default_rng([self.seed, 1])
        self.wrong: list[Wrong] = []
        self.number = 0
        self._introduce()
        self._beat(0)
        for hour in range(HOURS):
            self._hour(hour)
        self._beat((HOURS + 30) * HOUR)

    def publish(self, client: MemoryClient, start: int, end: int) -> None:
        """Send a stretch of it."""
        client.publish(self.messages[start:end])

    def _introduce(self) -> None:
        for model in MODELS:
            payload: dict[str, JsonValue] = {
                "kind": "Loop", "version": 1, "model": model, "task": "binary",
                "columns": {"id": "i", "time": "t", "label": "y"}, "windows": {"every": "1h", **self.windows},
                "labels": {"horizon": "1h"},
            }  # fmt: skip
            loop = Loop.from_payload(payload)
            self._say(topics.LOOPS, LoopApplied.named(model, START, model, loop=loop.to_payload(), digest="d"))
            for number, version in enumerate(VERSIONS, start=1):
                self._say(topics.TRAINING, a_version(model, version, number))

    def _hour(self, hour: int) -> None:
        said: list[tuple[int, PredictionsLogged]] = []
        for _ in range(int(self.random.integers(6, 14))):
            number = int(self.random.integers(topics.PARTITIONS))
            event = self._record(hour)
            self._send(number, event)
            said.append((number, event))
            draw = self.random.random()
            if draw < 0.15:
                self._send(number, event, again=True)
            elif draw < 0.25:
                self._poison(number)
            elif draw < 0.4:
                self._beat(int(hour * HOUR + self.random.integers(HOUR)), number)
        self._beat((hour + 1) * HOUR + GRACE)
        for number, event in said:
            if self.random.random() < 0.9:
                self._label(number, event, hour)
        due = [one for one in self.wrong if one.hour == hour]
        for one in due:
            self._correct(one)
        self._beat((hour + 1) * HOUR + GRACE + 1)

    def _record(self, hour: int) -> PredictionsLogged:
        rows = int(self.random.integers(1, 9))
        self.number += 1
        model, version = (
            str(self.random.choice(MODELS)),
            str(self.random.choice([*VERSIONS, "unknown"], p=[0.6, 0.3, 0.1])),
        )
        low = START_MS + hour * HOUR
        times = [int(low + self.random.integers(-HOUR // 3, HOUR)) for _ in range(rows)]
        if self.random.random() < 0.1:
            times[0] += int(self.random.choice([-10, 10])) * 365 * 24 * HOUR
        n = [self._bad() if self.random.random() < 0.1 else float(self.random.normal()) for _ in range(rows)]
        w = [
            None if self.random.random() < 0.1 else str(self.random.choice(["a", "b", "c", "new"])) for _ in range(rows)
        ]
        shadowed = version == "1" and self.random.random() < 0.4
        return PredictionsLogged.named(
            f"{self.seed}/{self.number}", START, model, source="serving", version=version,
            arm="champion" if version != "2" else "candidate", epoch=1,
            prediction_id=tuple(f"{self.seed}-{self.number}-{row}" for row in range(rows)),
            times=tuple(map(abs, times)),
            features={"n": tuple(n), "w": tuple(w)},
            score=tuple(None if self.random.random() < 0.05 else float(self.random.random()) for _ in range(rows)),
            shadow=ShadowScores(version="2", score=tuple(self.random.random(rows).tolist())) if shadowed else None,
        )  # fmt: skip

    def _bad(self) -> Any:  # noqa: ANN401 -- whatever a producer sends
        return [None, "text", 1e308, -1e308, -0.0, True][int(self.random.integers(6))]

    def _send(self, number: int, event: PredictionsLogged, *, again: bool = False) -> None:
        self._say(topics.PREDICTIONS, event, number)
        count = len(event.prediction_id)
        if event.version not in VERSIONS:
            self._count("quarantined", count)
        elif again:
            self._count("duplicate", count)
        else:
            self._take(number, event)

    def _take(self, number: int, event: PredictionsLogged) -> None:
        watermark, scores = self.clocks.get(number), event.score or ()
        given = [value for value in event.features["n"] if value is not None]
        plain = not given or not all(isinstance(value, str) for value in given)
        for row, time in enumerate(event.times):
            self.inputs.append(Row(
                event.model, str(event.version), str(event.arm), time, event.features["n"][row],
                event.features["w"][row],
                scores[row], event.prediction_id[row], event.shadow.score[row] if event.shadow else None, watermark,
                plain,
            ))  # fmt: skip

    def _label(self, number: int, event: PredictionsLogged, hour: int) -> None:
        if event.version not in VERSIONS:
            return
        rows = [row for row in range(len(event.times)) if (event.score or ())[row] is not None]
        labels = tuple(float(self.random.integers(2)) for _ in rows)
        carried, w = event.model == "alpha" or len(rows) % 2 == 0, tuple(event.features["w"][row] for row in rows)
        joined = OutcomesJoined.named(
            f"o/{event.id}", START, event.model, source="serving", version=event.version, arm=event.arm, epoch=1,
            shadow_version=event.shadow.version if event.shadow else None,
            prediction_id=tuple(event.prediction_id[row] for row in rows),
            times=tuple(event.times[row] for row in rows),
            bucket=tuple(bucket(event.prediction_id[row]) for row in rows),
            score=tuple((event.score or ())[row] for row in rows),
            shadow_score=tuple(event.shadow.score[row] for row in rows) if event.shadow else None,
            label=labels, labelled_at=tuple(event.times[row] + 60_000 for row in rows),
            segments={"w": w} if carried else None,
        )  # fmt: skip
        self._join(number, joined, w)
        if rows and self.corrector.random() < 0.5:
            self.wrong.append(Wrong(hour + int(self.corrector.integers(4)), number, joined, w))

    def _join(self, number: int, joined: OutcomesJoined, w: Sequence[Any]) -> None:
        self._say(topics.OUTCOMES, joined, number)
        watermark, shadow = self.clocks.get(number), joined.shadow_score
        for row, name in enumerate(joined.prediction_id):
            self.outcomes.append(Row(
                joined.model, str(joined.version), str(joined.arm), joined.times[row], None, w[row],
                joined.score[row], name, shadow[row] if shadow else None, watermark,
                plain=joined.segments is not None, label=joined.label[row],
            ))  # fmt: skip

    def _correct(self, wrong: Wrong) -> None:
        """Some labels were the other one; the first of them was right after all."""
        said = wrong.joined
        rows = [row for row in range(len(said.label)) if self.corrector.random() < 0.6]
        if not rows:
            return
        before = [*(said.label[row] for row in rows), 1 - said.label[rows[0]]]
        picked = [*rows, rows[0]]
        changed = {
            name: tuple(values[row] for row in picked)
            for name in ("prediction_id", "times", "bucket", "score", "shadow_score")
            if (values := getattr(said, name)) is not None
        }
        w = tuple(wrong.w[row] for row in picked)
        corrected = said.model_copy(update={
            **changed, "id": named_id("corrected", str(said.id)), "before": tuple(before),
            "label": tuple(1 - label for label in before),
            "labelled_at": tuple(said.labelled_at[row] + 1 for row in picked),
            "segments": {"w": w} if said.segments is not None else None,
        })  # fmt: skip
        self._join(wrong.number, corrected, w)

    def _poison(self, number: int) -> None:
        value = b'{"prediction_id": ["a", "b"], "times": [1]'
        headers = (("ce_type", PredictionsLogged.TYPE.encode()), ("ce_subject", b"alpha"))
        self.messages.append(Message(Place(topics.PREDICTIONS.name, number), None, value, headers))
        self._count("quarantined", 1)

    def _beat(self, after: int, number: int | None = None) -> None:
        """Into one partition, or into all."""
        moment = START_MS + after
        for one in range(topics.PARTITIONS) if number is None else (number,):
            self.clocks[one] = max(moment, self.clocks.get(one, 0))
            name = f"{self.seed}/{len(self.messages)}/{one}"
            self._say(topics.PREDICTIONS, HeartbeatSent.named(name, START, "*", replica="r", clocks={"*": moment}), one)
            passed = HeartbeatPassed.named(
                name, START, "*", topic=topics.KEYS.name, partition=one, clocks={"*": moment}
            )
            self._say(topics.OUTCOMES, passed, one)

    def _say(self, topic: topics.Topic, event: Event, number: int | None = None) -> None:
        value, headers = encode(event, source="test", recorded=START)
        place = Place(topic.name, partition(event.model, topics.PARTITIONS) if number is None else number)
        self.messages.append(Message(place, event.model.encode(), value, headers))

    def _count(self, fate: str, rows: int) -> None:
        self.fates[fate] = self.fates.get(fate, 0) + rows


def a_version(model: str, version: str, sequence: int) -> ModelVersionCreated:
    """A version with the profile above."""
    nothing = Snapshot(start=0, end=1, strategy="full", predictions=(), outcomes=())
    return ModelVersionCreated.named(
        f"{model}/{version}", START, model, sequence=sequence, version=version, artifact=FileRef(uri="x", sha256="0"),
        size=1, task="binary", recipe="none", features={"n": "numeric", "w": "categorical"}, metrics={},
        snapshot=nothing, holdout=nothing, profile=PROFILE, train_rows=1, holdout_rows=1, cut=0,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- another way to the windows


def fate(row: Row, slack: int, revise: int) -> str:
    """What becomes of a row: by its own time, and the heartbeats before it in its partition."""
    end = row.time - row.time % HOUR + HOUR
    if row.watermark is None:
        return "counted"
    if row.watermark >= end + slack:
        return "revised" if row.watermark < end + slack + revise else "late"
    return "quarantined" if row.time > row.watermark + 24 * HOUR else "counted"


def table(rows: list[Row], slack: int, revise: int) -> pd.DataFrame:
    """Every row with its fate and the end of its slice (ms)."""
    made = pd.DataFrame(rows, columns=list(Row._fields))
    made["fate"] = [fate(row, slack, revise) for row in rows]
    made["end"] = made["time"] - made["time"] % HOUR + HOUR
    return made


def column_counts(values: pd.Series[Any], kind: str) -> dict[str, Any]:
    """Counts of one column, by pandas."""
    if kind == "numeric":
        text = values.map(lambda value: isinstance(value, str))
        numbers = pd.to_numeric(values.where(~text, None), errors="coerce").astype(float)
        edges = [-math.inf, *PROFILE.columns[0].edges, math.inf]
        counts = pd.cut(numbers, edges, right=False).value_counts(sort=False).tolist()
        return {"counts": counts, "missing": int(values.isna().sum()), "malformed": int(text.sum())}
    known = PROFILE.columns[1].categories
    shown = values.dropna().where(lambda column: column.isin(known), "other").value_counts()
    counts = [int(shown.get(name, 0)) for name in (*known, "other")]
    return {"counts": counts, "missing": int(values.isna().sum()), "malformed": 0}


def score_counts(values: pd.Series[Any]) -> list[int]:
    """Scores on the grid of 100 equal bins."""
    places = np.minimum(np.searchsorted(PROFILE.score.edges, values.dropna().astype(float), side="right"), 99)
    counts: list[int] = np.bincount(places, minlength=100).tolist()
    return counts


def bucket_sums(part: pd.DataFrame, score: str) -> dict[str, list[int]]:
    """Rows, scored rows and the sum of scores in millionths, per bucket with rows."""
    places = part["entity"].map(bucket)
    units = [round(value * 1e6) for value in part[score].astype(float).fillna(0.0)]
    scored = part[score].notna().astype(int)
    grouped = pd.DataFrame({"bucket": places, "units": units, "scored": scored}).groupby("bucket")
    return {str(place): [len(rows), int(rows["scored"].sum()), int(rows["units"].sum())] for place, rows in grouped}


def arms(part: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame, str]]:
    """Arm, version, rows and the column of their scores: arms that served, then shadows."""
    for (arm, version), rows in part.groupby(["arm", "version"]):
        yield str(arm), str(version), rows, "score"
    shadowed = part[part["shadow"].notna()]
    if len(shadowed):
        yield "shadow", "2", shadowed, "shadow"


def canonical(value: object) -> bytes:
    """For comparing."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
