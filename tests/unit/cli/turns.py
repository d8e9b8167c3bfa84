"""One whole turn of the loop as the services say it, and a command line that reads it from an in-memory log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from typer.testing import CliRunner, Result

from everloop import events as e
from everloop import topics
from everloop.buckets import partition
from everloop.cli import build
from everloop.cli.context import SESSION, Session
from everloop.codec import decode, encode
from everloop.loop import Loop, loop_digest
from everloop.profile import build_profile
from everloop.rows import rows_of, write_rows
from everloop.runtime.log import Log, Message, Place
from everloop.runtime.memory import MemoryLog
from tests.builders import HOUR_MS, NOON, a_loop, a_signed_verdict, millis

WALL = datetime(2026, 6, 1, 9, tzinfo=UTC)
START = millis(NOON)
EPISODE = e.named_id("WindowClosed", "the second drifted window")
MINUTE = timedelta(minutes=1)


def a_stack() -> Stack:
    return Stack(MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()}))


@dataclass
class Stack:
    """A log, and the command line on it. `looks` runs between two looks of --follow and --wait."""

    broker: MemoryLog
    sequences: Counter[tuple[str, str]] = field(default_factory=Counter)
    looks: Callable[[], None] = lambda: None

    def say(self, topic: topics.Topic, *said: e.Event) -> None:
        """Write events, numbered as their service does it; each one millisecond after the last."""
        for event in said:
            self.broker.now_ms += 1
            self.sequences[topic.name, event.model] += topic.journal
            number = self.sequences[topic.name, event.model] if topic.journal else None
            self.write(topic, event.model_copy(update={"sequence": number}), event.model)

    def write(self, topic: topics.Topic, event: e.Event | None, key: str) -> None:
        """Write one record as it is; a tombstone for None."""
        place = Place(topic.name, partition(key.partition(":")[0], topic.partitions))
        value, headers = encode(event, source="test", recorded=WALL) if event else (None, ())
        self.broker.append(Message(place, key.encode(), value, headers))

    def write_arrow(self, event: e.PredictionsLogged) -> None:
        """Write rows as a compressed Arrow stream."""
        value, headers = write_rows(rows_of(event), source="test", now=event.time, compression="zstd")
        self.broker.append(Message(Place(topics.PREDICTIONS.name, 0), b"k", value, headers))

    def apply(self, loop: Loop) -> None:
        said = e.LoopApplied.named("test", NOON, loop.model, loop=loop.to_payload(), digest=loop_digest(loop))
        self.say(topics.LOOPS, said)

    def run(self, *words: str) -> Result:
        @contextmanager
        def connect(broker: str | None, var: Path | None) -> Iterator[Log]:
            yield self.broker.client()

        session = Session(connect=connect, wall=lambda: WALL, pause=self.looks)
        return CliRunner().invoke(build(), words, obj={SESSION: session})

    def on(self, topic: topics.Topic) -> list[int]:
        """How many records stand in each partition."""
        return [len(self.broker.records[Place(topic.name, number)]) for number in range(topic.partitions)]


def refusal(result: Result, code: int) -> str:
    """The error of a command: this exit code, nothing on standard output, one line, no traceback."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


# ------------------------------------------------------------------------------------------------- the events of a turn


def a_window(index: int, verdict: str, episode: e.Episode, *, share: float, version: str = "1") -> e.WindowJudged:
    """The judged inputs of the hour that begins `index` hours after noon."""
    start = START + index * HOUR_MS
    known = episode is not e.Episode.NONE
    drifted = verdict == "drifted"
    measures = (
        e.Measure(name="amount", test="psi", value=0.41 if drifted else 0.02, limit=0.2, drifted=drifted, rows=1600),
        e.Measure(name="country", test="psi", value=0.03, limit=0.2, drifted=False, rows=1600),
        e.Measure(name="score", test="psi", value=0.1, limit=0.2, drifted=False, rows=1600),
    )
    return e.WindowJudged.named(
        f"inputs/{index}", NOON + timedelta(hours=index + 1), "fraud", kind="inputs", start=start, end=start + HOUR_MS,
        revision=0, version=version, verdict=verdict, measures=measures, rows=1600, episode=episode,
        reason=e.Reason(rule="drift.share", measured=share, limit=0.3, samples=1600, where="loop"),
        episode_id=EPISODE if known else None, episode_kind="drift" if known else None,
        change_at=START + HOUR_MS if known else None, correlation_id=EPISODE if known else None,
    )  # fmt: skip


def an_outcome(index: int, quality: float) -> e.WindowJudged:
    """The judged outcomes of the same hour."""
    start = START + index * HOUR_MS
    return e.WindowJudged.named(
        f"outcomes/{index}", NOON + timedelta(hours=index + 2), "fraud", kind="outcomes", start=start,
        end=start + HOUR_MS, revision=0, version="1", verdict="stable", measures=(), rows=1500,
        episode=e.Episode.NONE,
        quality={"roc_auc": e.QualityMeasure(value=quality, error=0.01, lower=0.9, upper=1, rows=1500)},
        reason=e.Reason(rule="drift.quality.drop", measured=0.01, limit=0.05, samples=1500),
    )  # fmt: skip


def a_snapshot(start: int, end: int) -> e.Snapshot:
    return e.Snapshot(start=start, end=end, strategy="rolling", predictions=(), outcomes=())


def a_start(version: str, thread: object, now: datetime) -> e.TrainingStarted:
    """Caused by a tick, which stands on no topic."""
    spec = e.TrainingSpec(
        recipe="sklearn.linear_model.LogisticRegression", task="binary", seed=0, features=None,
        snapshot=a_snapshot(START, START + 2 * HOUR_MS), holdout=0.3, version=version, timeout_s=60,
    )  # fmt: skip
    why = e.Reason(rule="train.fresh_labels", measured=1200, limit=1000, samples=4000, where="loop")
    return e.TrainingStarted.named(
        f"start/{version}", now, "fraud", correlation_id=thread, causation_id=e.named_id("Tick", f"start/{version}"),
        attempt=1, spec=spec, fresh_labels=1200, reason=why,
    )  # fmt: skip


def a_version(started: e.TrainingStarted, now: datetime) -> e.ModelVersionCreated:
    """Caused by the end of the job, which stands on no topic."""
    version = started.spec.version
    return e.ModelVersionCreated.named(
        f"version/{version}", now, "fraud", correlation_id=started.correlation_id,
        causation_id=e.named_id("JobEnded", version), version=version, artifact=a_signed_verdict(version).artifact,
        size=1000, task="binary", recipe=started.spec.recipe, features={"amount": "numeric"},
        profile=build_profile({"amount": [1.0, 2.0, 3.0]}, scores=[0.1, 0.2]), metrics={"roc_auc": 0.91},
        snapshot=started.spec.snapshot, holdout=a_snapshot(START + HOUR_MS, START + 2 * HOUR_MS), train_rows=2800,
        holdout_rows=1200, cut=START + 2 * HOUR_MS,
    )  # fmt: skip


def a_check(name: str, verdict: str, measured: float, limit: float) -> e.Check:
    reason = e.Reason(rule=f"gate.{name}", measured=measured, limit=limit, samples=1200, where="loop")
    return e.Check.model_validate({"name": name, "verdict": verdict, "reason": reason})


def a_look(version: str, phase: e.Phase, verdict: str, index: int, now: datetime, thread: object) -> e.WindowLooked:
    """Caused by a closed window, which is no step of the story."""
    look = e.Look.model_validate(
        {"measure": "error_rate", "estimate": 0.002, "lower": 0.0, "upper": 0.006, "limit": 0.01, "verdict": verdict,
         "rule": "rollout.abort.error_rate", "samples": 900}
    )  # fmt: skip
    start = START + index * HOUR_MS
    return e.WindowLooked.named(
        f"look/{version}/{index}", now, "fraud", correlation_id=thread,
        causation_id=e.named_id("WindowClosed", str(index)), version=version,
        phase=phase, kind="inputs", start=start, end=start + HOUR_MS, looks=(look,), verdict=verdict,
    )  # fmt: skip


def a_step(version: str, weight: float, now: datetime, thread: object) -> e.StepTaken:
    why = e.Reason(rule="rollout.steps", measured=900, limit=800, samples=900, where="loop")
    return e.StepTaken.named(
        f"step/{version}/{weight}", now, "fraud", correlation_id=thread, version=version, phase=e.Phase.CANARY,
        weight=weight, reason=why,
    )  # fmt: skip


def _an_arm(arm: str, version: str, weight: float) -> e.ArmPlan:
    return e.ArmPlan(arm=arm, version=version, weight=weight, verdict=a_signed_verdict(version))


def a_plan(rollouts: e.Event, epoch: int, *arms: tuple[str, str, float], shadow: str | None = None) -> e.TrafficPlanned:
    planned = tuple(_an_arm(*arm) for arm in arms)
    copied = _an_arm("shadow", shadow, 0) if shadow else None
    return e.TrafficPlanned.because(
        rollouts, rollouts.time, epoch=epoch, salt="salt", ttl_s=30, arms=planned, shadow=copied
    )


def open_an_episode(stack: Stack) -> e.TurnOpened:
    """Two stable windows would be noise; here the second drifted window in a row opens episode and turn."""
    first = a_window(1, "drifted", e.Episode.NONE, share=0.5)
    opened = a_window(2, "drifted", e.Episode.OPENED, share=0.5)
    stack.say(topics.DRIFT, a_window(0, "stable", e.Episode.NONE, share=0.0), an_outcome(0, 0.93), first, opened)
    turn = a_turn(opened, EPISODE, "drift", opened.time)
    stack.say(topics.TRAINING, turn)
    return turn


def a_turn(cause: e.Event, thread: object, kind: str, now: datetime) -> e.TurnOpened:
    episode = EPISODE if kind in {"drift", "standing"} else None
    return e.TurnOpened.named(
        f"turn/{cause.id}", now, "fraud", causation_id=cause.id, correlation_id=thread, cause=kind, episode_id=episode,
        wait_until=now + timedelta(days=1), reason=e.Reason(rule="drift", measured=kind, where="loop"),
    )  # fmt: skip


def train_and_pass(stack: Stack, version: str, thread: object, now: datetime) -> e.VersionPassed:
    created = _train(stack, version, thread, now)
    checks = (a_check("floor", "pass", 0.91, 0.8), a_check("champion", "pass", 0.01, 0.0))
    passed = e.VersionPassed.because(
        created, now + 2 * MINUTE, version=version, champion="1", checks=checks, verdict=a_signed_verdict(version, "1")
    ).model_copy(update={"causation_id": e.named_id("JobEnded", f"checks/{version}")})
    stack.say(topics.VERDICTS, passed)
    return passed


def train_and_refuse(stack: Stack, version: str, thread: object, now: datetime) -> e.VersionRefused:
    created = _train(stack, version, thread, now)
    checks = (a_check("floor", "fail", 0.4, 0.8), a_check("latency_p95", "pass", 12.5, 100))
    refused = e.VersionRefused.because(
        created, now + 2 * MINUTE, version=version, champion="1", checks=checks, failed=("floor",)
    )
    stack.say(topics.VERDICTS, refused)
    return refused


def _train(stack: Stack, version: str, thread: object, now: datetime) -> e.ModelVersionCreated:
    started = a_start(version, thread, now)
    created = a_version(started, now + MINUTE)
    stack.say(topics.TRAINING, started, created)
    return created


def promote(stack: Stack, passed: e.VersionPassed, now: datetime) -> e.VersionPromoted:
    """Shadow, 10 %, promoted: rollouts 1 to 5, so the plans have epochs 1, 3 and 5."""
    version, thread = passed.version, passed.correlation_id
    started = e.RolloutStarted.because(
        passed, now, version=version, champion="1", verdict=passed.verdict, deadline=now + timedelta(hours=4), salt="s"
    )
    shadow = a_look(version, e.Phase.SHADOW, "advance", 4, now + MINUTE, thread)
    step = a_step(version, 0.1, now + 2 * MINUTE, thread)
    canary = a_look(version, e.Phase.CANARY, "advance", 5, now + 3 * MINUTE, thread)
    promoted = e.VersionPromoted.named(
        f"promote/{version}", now + 4 * MINUTE, "fraud", correlation_id=thread, version=version, previous="1",
        verdict=passed.verdict, salt="s", reason=e.Reason(rule="rollout.steps", measured=1.0, limit=1.0, samples=1800),
    )  # fmt: skip
    stack.say(topics.ROLLOUTS, started)
    stack.say(topics.TRAFFIC, a_plan(started, 1, ("champion", "1", 1.0), shadow=version))
    stack.say(topics.ROLLOUTS, shadow, step)
    stack.say(topics.TRAFFIC, a_plan(step, 3, ("champion", "1", 0.9), ("candidate", version, 0.1)))
    stack.say(topics.ROLLOUTS, canary, promoted)
    stack.say(topics.TRAFFIC, a_plan(promoted, 5, ("champion", version, 1.0)))
    return promoted


def close(stack: Stack, cause: e.Event, outcome: str, version: str, now: datetime) -> e.TurnClosed:
    closed = e.TurnClosed.because(cause, now, outcome=outcome, version=version)
    stack.say(topics.TRAINING, closed)
    return closed


def a_full_turn() -> Stack:
    """Drift, a refused version 2, a standing turn, a promoted version 3, on the rules of `fraud`."""
    stack = a_stack()
    stack.apply(a_loop())
    open_an_episode(stack)
    refused = train_and_refuse(stack, "2", EPISODE, NOON + timedelta(hours=4))
    closed = close(stack, refused, "refused", "2", NOON + timedelta(hours=5))
    tick = e.Tick.named("standing", closed.time, "fraud")
    stack.say(topics.TRAINING, a_turn(tick, EPISODE, "standing", NOON + timedelta(hours=6)))
    passed = train_and_pass(stack, "3", EPISODE, NOON + timedelta(hours=7))
    promoted = promote(stack, passed, NOON + timedelta(hours=8))
    close(stack, promoted, "promoted", "3", promoted.time)
    return stack


def everything_of(stack: Stack) -> Iterable[tuple[str, e.Event]]:
    """Topic and event of every record."""
    for place, records in stack.broker.records.items():
        for record in records:
            if record.value is not None:
                yield place.topic, decode(record.value, record.headers)
