"""A made-up history in which everything happens that has to happen; each test takes one thing away."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from everloop import events as e
from everloop.demo.reading import History
from everloop.demo.timetable import Timetable
from everloop.profile import ColumnProfile, Profile
from everloop.rows import rows_of
from tests.builders import a_fresh_id, a_signed_verdict

MODEL = "fraud"
FLIPPED = "examples.fraud.flipped:Recipe"
HOUR = 3_600_000
START = datetime(2026, 1, 5, tzinfo=UTC)
TABLE = Timetable(start=round(START.timestamp() * 1000), every=HOUR, stationary=10, concept_at=11, windows=25)
PROMOTED_AT = 17
"""The first window that the successor serves alone."""
ROWS = 200
E_ = TypeVar("E_", bound=e.Event)


def at(window: float) -> datetime:
    return START + timedelta(hours=window, minutes=2)


def an_event(said: type[E_], window: float, /, **fields: object) -> E_:
    known: dict[str, object] = {"id": a_fresh_id(), "time": at(window), "model": MODEL}
    return said.model_validate({**known, **fields})


def a_reason(rule: str = "drift.share", measured: float = 0.5, limit: float = 0.3) -> e.Reason:
    return e.Reason(rule=rule, measured=measured, limit=limit, samples=ROWS)


def an_episode(window: int, episode: e.Episode = e.Episode.OPENED, rule: str = "drift.share") -> e.WindowJudged:
    begin = TABLE.begin(window)
    return an_event(
        e.WindowJudged, window + 1, kind="inputs", start=begin, end=begin + HOUR, revision=0, version="1",
        verdict="drifted", measures=(), reason=a_reason(rule), episode=episode, episode_id=UUID(int=1),
        episode_kind="drift", rows=ROWS,
    )  # fmt: skip


def a_start(version: str, recipe: str, fresh: int) -> e.TrainingStarted:
    snapshot = e.Snapshot(start=0, end=1, strategy="rolling", predictions=(), outcomes=())
    spec = e.TrainingSpec(
        recipe=recipe,
        task="binary",
        seed=0,
        features=None,
        snapshot=snapshot,
        holdout=0.3,
        version=version,
        timeout_s=1,
    )
    return an_event(e.TrainingStarted, 14, attempt=1, spec=spec, fresh_labels=fresh, reason=a_reason("train"))


def a_version(version: str, recipe: str) -> e.ModelVersionCreated:
    nothing = e.Snapshot(start=0, end=1, strategy="rolling", predictions=(), outcomes=())
    score = ColumnProfile(name="score", kind="numeric", counts=(0,))
    return an_event(
        e.ModelVersionCreated, 14, version=version, recipe=recipe, artifact={"uri": "memory://1", "sha256": "0" * 64},
        size=1, task="binary", features={}, profile=Profile(rows=0, columns=(), score=score), metrics={},
        snapshot=nothing, holdout=nothing, train_rows=1000, holdout_rows=1, cut=0, seconds=1.0,
    )  # fmt: skip


def a_check(name: str, verdict: str) -> e.Check:
    return e.Check.model_validate({"name": name, "verdict": verdict, "reason": a_reason(name)})


def a_pass(version: str) -> e.VersionPassed:
    checks = (a_check("floor.roc_auc", "pass"), a_check("latency", "pass"))
    return an_event(
        e.VersionPassed, 14, version=version, champion="1", checks=checks, verdict=a_signed_verdict(version, "1")
    )


def a_refusal(version: str, failed: tuple[str, ...] = ("floor.roc_auc",)) -> e.VersionRefused:
    checks = tuple(a_check(name, "fail") for name in failed)
    return an_event(e.VersionRefused, 22, version=version, champion="2", checks=checks, failed=failed)


def a_rollout(version: str = "2") -> list[e.Event]:
    verdict = a_signed_verdict(version, "1")
    steps = [
        an_event(e.StepTaken, 15 + i / 2, version=version, phase=e.Phase.CANARY, weight=weight, reason=a_reason())
        for i, weight in enumerate((0.1, 0.5))
    ]
    begun = an_event(e.RolloutStarted, 14, version=version, champion="1", verdict=verdict, deadline=at(30), salt="salt")
    return [begun, *steps, a_promotion(PROMOTED_AT, version)]


def a_promotion(window: float, version: str = "2", previous: str | None = "1") -> e.VersionPromoted:
    verdict = a_signed_verdict(version, previous)
    return an_event(
        e.VersionPromoted, window, version=version, previous=previous, verdict=verdict, salt="s", reason=a_reason()
    )


def journals() -> list[e.Event]:
    """Everything that has to be decided."""
    return [
        a_promotion(0, "1", None), an_episode(11), an_episode(12, e.Episode.CONTINUING),
        a_start("2", "usual", 900), a_version("2", "usual"), a_pass("2"), *a_rollout(),
        a_start("3", FLIPPED, 1000), a_version("3", FLIPPED), a_refusal("3"),
    ]  # fmt: skip


def skill(window: int) -> float:
    """How far the scores of the two classes lie apart, in standard deviations."""
    return 0.5 if 11 <= window < PROMOTED_AT else 2.0


def rows(windows: Iterable[int], *, worse: bool = True) -> tuple[list[e.PredictionsLogged], list[e.LabelsLogged]]:
    predictions, labels = [], []
    for window in windows:
        chance = random.Random(window)
        truth = [float(number % 5 == 0) for number in range(ROWS)]
        apart = skill(window) if worse else 2.0
        ids = tuple(f"{window}-{number}" for number in range(ROWS))
        times = tuple(TABLE.begin(window) + number * 1000 for number in range(ROWS))
        score = tuple(label * apart + chance.gauss(0, 1) for label in truth)
        version = "2" if window >= PROMOTED_AT else "1"
        predictions.append(an_event(
            e.PredictionsLogged, window, source="serving", version=version, arm="champion", epoch=1,
            prediction_id=ids, times=times, features={}, score=score,
        ))  # fmt: skip
        known = tuple(time + HOUR for time in times)
        labels.append(an_event(e.LabelsLogged, window, prediction_id=ids, label=tuple(truth), labelled_at=known))
    return predictions, labels


def a_history(decided: Iterable[e.Event] | None = None, *, labelled: int = 24, worse: bool = True) -> History:
    """`labelled`: how many windows have labels."""
    predictions, labels = rows(range(TABLE.windows), worse=worse)
    events = journals() if decided is None else list(decided)
    return History(tuple(map(rows_of, predictions)), tuple(labels[:labelled]), tuple(events))
