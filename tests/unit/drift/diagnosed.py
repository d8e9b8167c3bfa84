"""A stream with a fault of the library in it, from rows to the trainer: counted, judged and heard by the real cores.

The stream has what may be taken for a fault and is none: a date that is always new, an hour that stands still in every
window, a count of few values. A model of it knows the truth, so its scores are calibrated until something changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from everloop import events as e
from everloop.diagnoses import SORTS
from everloop.faults import FAULTS, Batch, Moment, spoiled
from everloop.faults import Labelled as Fault
from everloop.loop import Loop
from everloop.profile import Profile, QualityProfile, build_profile
from everloop.quality import estimates
from everloop.sketch import Inputs, Labelled, Sums
from everloop.sketch.layout import Layout
from everloop_drift.domain import judging
from everloop_drift.domain.arms import Reference, arm_windows
from everloop_drift.domain.cells import CHAMPION, Cell, Key
from everloop_drift.domain.closing import Bounds, Closing
from everloop_drift.handlers import announce
from everloop_trainer import domain as trainer
from tests.builders import HOUR_MS, NOON, a_fresh_id, a_loop, a_tick_at, an_archive, millis
from tests.unit.drift.builders import a_side

ROWS: Final = 600
HISTORY: Final = 48
"""Windows (hours) before the first, which the model learnt from."""
HEALTHY, BROKEN, AFTER = 9, 5, 4
"""Windows before a fault, with it, and after it."""
LATE: Final = 2
"""Windows until the labels of a window are there."""
START: Final = millis(NOON)
NOW: Final = NOON + timedelta(days=400)
COUNTRIES: Final = np.array(["at", "be", "ch", "de", "fr", "nl"])
DEVICES: Final = np.array(["desktop", "phone", "tablet"])
WEIGHTS: Final = {"amount": 0.9, "minutes": -0.8, "temperature": 0.5, "balance": 0.6, "rate": 0.7}


def drawn(seed: int, number: int, rows: int = ROWS) -> Batch:
    """Rows of one window, without labels; the numbers stand in the order in which faults choose them."""
    chance = np.random.default_rng([seed, number + HISTORY])
    columns: dict[str, NDArray[Any]] = {
        "amount": np.exp(chance.normal(3.5, 0.7, rows)),
        "minutes": chance.gamma(2.0, 150.0, rows),
        "temperature": chance.normal(15.0, 8.0, rows),
        "balance": np.exp(chance.normal(7.0, 0.5, rows)),
        "day": (number + np.sort(chance.random(rows))) / 24,
        "hour": np.full(rows, float(number % 24)),
        "items": chance.poisson(1.3, rows).astype(np.float64),
        "rate": chance.beta(2.0, 5.0, rows),
        "country": chance.choice(COUNTRIES, rows, p=(0.05, 0.1, 0.15, 0.4, 0.2, 0.1)),
        "device": chance.choice(DEVICES, rows, p=(0.5, 0.4, 0.1)),
    }
    return Batch(columns, np.zeros(rows))


def scores(columns: Mapping[str, NDArray[Any]], rows: int) -> NDArray[np.float64]:
    """What the model says, shape (rows,): a logistic curve; what is no number counts as the mean."""
    risk = np.full(rows, -1.5)
    for name, weight in WEIGHTS.items():
        values = columns.get(name)
        if values is None or values.dtype.kind != "f":
            continue
        center, spread = _usual()[name]
        steps = np.clip((np.nan_to_num(values, nan=center, posinf=np.inf, neginf=-np.inf) - center) / spread, -4, 4)
        risk += weight * 1.4 * steps
    return np.asarray(1 / (1 + np.exp(-risk)))


@cache
def _usual() -> dict[str, tuple[float, float]]:
    batch = drawn(0, -HISTORY, 20_000)
    return {name: (float(batch.columns[name].mean()), float(batch.columns[name].std())) for name in WEIGHTS}


def labelled(batch: Batch, seed: int, number: int) -> Batch:
    """The rows with what really happens."""
    rows = len(batch.labels)
    chance = np.random.default_rng([seed, number + HISTORY, 1])
    return replace(batch, labels=(chance.random(rows) < scores(batch.columns, rows)).astype(np.float64))


def joined(batches: list[Batch]) -> Batch:
    """All rows of all batches."""
    names = batches[0].columns
    columns = {name: np.concatenate([one.columns[name] for one in batches]) for name in names}
    return Batch(columns, np.concatenate([one.labels for one in batches]))


def seen(batch: Batch, begin: int) -> Labelled:
    """Labelled rows, evenly over the 60 intervals of the hour that begins at `begin` (ms)."""
    rows = len(batch.labels)
    points = begin + np.arange(rows) * 60 // rows * (HOUR_MS // 60)
    return Labelled.observe("binary", None, scores(batch.columns, rows), batch.labels, np.full(rows, 1000), points)


@dataclass
class World:
    """What a model learnt from, the profile of it, and the seasons of it where they count."""

    history: list[Batch]
    profile: Profile
    layout: Layout
    seasonal: bool

    @classmethod
    def of(cls, seed: int, fault: Fault) -> World:
        """The world of this seed; a fault that was always there is in it."""
        hours = range(-HISTORY, 0)
        history = [labelled(drawn(seed, hour, ROWS // 3), seed, hour) for hour in hours]
        if fault.always:
            moments = [Moment(seed, hour + HISTORY, hour % 24) for hour in hours]
            history = [spoiled(fault, one, moment) for one, moment in zip(history, moments, strict=True)]
        whole = joined(history)
        quality = tuple(
            QualityProfile(metric=name, value=one.value, standard_error=one.error, rows=one.rows, positives=0)
            for name, one in estimates(seen(whole, 0)).items()
        )
        said = scores(whole.columns, len(whole.labels))
        profile = build_profile({name: plain(values) for name, values in whole.columns.items()}, scores=said,
                                quality=quality)  # fmt: skip
        return cls(history, profile, Layout.of(profile), fault.always)

    def window(self, kind: Any, number: int, batch: Batch) -> e.WindowClosed:  # noqa: ANN401 -- a literal
        """The window record of these rows, as the worker makes it."""
        start = START + number * HOUR_MS
        closing = Closing(kind, Bounds(start, start + HOUR_MS, start), 0, start + HOUR_MS)
        cell = Cell(Sums())
        features = {name: plain(values) for name, values in batch.columns.items()}
        key = Key("fraud", "1", CHAMPION, self.layout.schema(features), start, start + HOUR_MS, 0)
        rows = len(batch.labels)
        if kind == "inputs":
            cell.inputs = Inputs(self.layout)
            cell.inputs.add(features, scores(batch.columns, rows), rows)
        else:
            cell.labelled = seen(batch, start)
        arms = arm_windows({key: [cell]}, closing, "binary", {"1": Reference(self.profile, self.layout)})
        arms = tuple(self.by_season(arm, number) for arm in arms) if self.seasonal and kind == "inputs" else arms
        return e.WindowClosed(
            id=a_fresh_id(), time=NOW, model="fraud", kind=kind, start=start, end=start + HOUR_MS, arms=arms, rows=rows
        )

    def by_season(self, arm: e.ArmWindow, number: int) -> e.ArmWindow:
        """The same beside the reference of this hour of the day."""
        same = joined([one for place, one in enumerate(self.history) if (place - HISTORY) % 24 == number % 24])
        values = {**same.columns, "score": scores(same.columns, len(same.labels))}
        known = {column.name: column for column in (*self.profile.columns, self.profile.score)}

        def beside(one: e.ColumnWindow) -> e.ColumnWindow:
            side = a_side(known[one.name], values[one.name])
            return one.model_copy(update={"reference": side, "overall": one.reference})

        score = beside(arm.score) if arm.score else None
        return arm.model_copy(update={"columns": tuple(map(beside, arm.columns)), "score": score})


def plain(values: NDArray[Any]) -> Any:  # noqa: ANN401 -- as a record carries them
    """Numbers as an array, all else as a list."""
    return values if values.dtype.kind == "f" else values.tolist()


@dataclass
class Heard:
    """What the judge said, what a subscriber was told, and what the trainer made of it."""

    loop: Loop
    state: judging.State = field(default_factory=judging.initial)
    trainer: trainer.State = field(default_factory=lambda: replace(trainer.initial(), champions=("1",), versions=1))
    judged: list[tuple[int, e.WindowJudged]] = field(default_factory=list)
    alerts: list[e.AlertRaised] = field(default_factory=list)
    training: list[e.Event] = field(default_factory=list)

    def hear(self, number: int, window: e.WindowClosed) -> None:
        """One window, then a tick with all the labels that anybody could want."""
        said = judging.decide(self.state, window, NOW, self.loop, None)
        assert isinstance(said, e.WindowJudged)
        self.state = judging.evolve(self.state, said)
        self.judged.append((number, said))
        self.alerts += announce(self.state, said)
        now = NOW + timedelta(hours=len(self.judged))
        labels = an_archive({START - HOUR_MS: 100_000, window.start: 100_000})
        for cause, facts in ((said, None), (a_tick_at(now), labels)):
            event = trainer.decide(self.trainer, cause, now, self.loop, facts)
            if event is not None:
                self.trainer = trainer.evolve(self.trainer, event)
                self.training.append(event)

    def copy(self, loop: Loop) -> Heard:
        """The same until now, to go on from."""
        return replace(
            self, loop=loop, judged=[*self.judged], alerts=[*self.alerts], training=[*self.training]
        )  # fmt: skip

    def kinds(self, first: int, last: int) -> list[str]:
        """The diagnoses of the windows of these numbers, without those that had none."""
        return [one.diagnosis.kind for number, one in self.judged if one.diagnosis and first <= number < last]

    @property
    def turns(self) -> list[e.Event]:
        """Turns that were opened and runs that were started."""
        return [event for event in self.training if isinstance(event, e.TurnOpened | e.TrainingStarted)]


def a_run(fault: Fault, seed: int, **parts: object) -> Heard:
    """A healthy stream, then the fault, then a healthy stream again; labels come later."""
    if fault.at_once or fault.always:
        world, heard, sent = World.of(seed, fault), Heard(a_loop(**parts)), []
    else:
        world, known, before = _healthy(seed)
        heard, sent = known.copy(a_loop(**parts)), [*before]
    for number in range(len(sent), HEALTHY + BROKEN + AFTER):
        _send(world, heard, sent, fault, seed)
        assert len(sent) == number + 1
    return heard


@cache
def _healthy(seed: int) -> tuple[World, Heard, tuple[Batch, ...]]:
    """What comes before every fault that begins later."""
    none = FAULTS["none"]
    world, heard, sent = World.of(seed, none), Heard(a_loop()), list[Batch]()
    for _ in range(HEALTHY):
        _send(world, heard, sent, none, seed)
    return world, heard, tuple(sent)


def _send(world: World, heard: Heard, sent: list[Batch], fault: Fault, seed: int) -> None:
    number = len(sent)
    begun = 0 if fault.at_once else -HISTORY if fault.always else HEALTHY
    faulty = fault.always or begun <= number < HEALTHY + BROKEN
    batch = labelled(drawn(seed, number, ROWS * (fault.pool if faulty else 1)), seed, number)
    if faulty:
        batch = spoiled(fault, batch, Moment(seed, number - begun, number % 24, sent[-1] if sent else None))
    sent.append(batch)
    heard.hear(number, world.window("inputs", number, batch))
    if number >= LATE:
        heard.hear(number - LATE, world.window("outcomes", number - LATE, sent[number - LATE]))


def verdict(fault: Fault, heard: Heard) -> str:
    """The diagnosis of the fault's windows: of most of them, of inputs before labels; `none` where there was none."""
    first = 0 if fault.at_once or fault.always else HEALTHY
    counted = Counter(heard.kinds(first, HEALTHY + BROKEN))
    return counted.most_common(1)[0][0] if counted else "none"


def broken(heard: Heard) -> bool:
    """Whether anything was taken for broken data."""
    return any(SORTS[one.diagnosis.kind].family == "data" for _, one in heard.judged if one.diagnosis)


def forget() -> None:
    """Let healthy streams go that no later run of the same seed will need."""
    _healthy.cache_clear()
