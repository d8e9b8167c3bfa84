"""Builders of values for tests, shared by all: small functions, each with a name of its own. Append, never change."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Literal
from uuid import UUID, uuid5

import numpy as np

from everloop import events as e
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.profile import ColumnProfile, Profile
from everloop.sketch import ArmSums

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR_MS = 3_600_000
_NUMBERS = count(1)


def a_fresh_id() -> UUID:
    """An id that no other call of this process gives."""
    return uuid5(e.NAMESPACE, f"test/{next(_NUMBERS)}")


def millis(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def a_loop(**parts: object) -> Loop:
    """The rules of the model `fraud`: defaults but for what is named."""
    columns = {"id": "txn_id", "time": "ts", "label": "is_fraud", "entity": "card_id"}
    first = {"kind": "Loop", "version": 1, "model": "fraud", "task": "binary", "columns": columns}
    return Loop.model_validate({**first, "windows": {"every": "1h"}, **parts})


def a_tick_at(now: datetime) -> e.Tick:
    """Time passed for `fraud`; each call is another tick."""
    return e.Tick(id=a_fresh_id(), time=now, model="fraud")


# ------------------------------------------------------------------------------------------------------ for the trainer


def a_window_judged(
    episode: e.Episode = e.Episode.OPENED,
    *,
    kind: Literal["drift", "quality"] = "drift",
    episode_id: UUID | None = None,
    change_at: int | None = None,
    version: str = "1",
    now: datetime = NOON,
) -> e.WindowJudged:
    """A window of the champion with its episode; the episode's id is also the thread of its turn, as drift does it."""
    identity = episode_id or a_fresh_id()
    end = millis(now)
    read: Literal["inputs", "outcomes"] = "inputs" if kind == "drift" else "outcomes"
    return e.WindowJudged(
        id=a_fresh_id(), time=now, model="fraud", correlation_id=identity, kind=read,
        start=end - HOUR_MS, end=end, revision=0, version=version, verdict="drifted", measures=(),
        reason=e.Reason(rule="drift.share", measured=0.5, limit=0.3, samples=1600), episode=episode,
        episode_id=identity, episode_kind=kind, change_at=change_at, rows=1600,
    )  # fmt: skip


def a_training_requested(
    recipe: str | None = None, *, bootstrap: bool = False, rows: int | None = None
) -> e.TrainingRequested:
    """A person asks for a run."""
    return e.TrainingRequested(
        id=a_fresh_id(), time=NOON, model="fraud", by="a person", recipe=recipe, bootstrap=bootstrap, rows=rows
    )


def a_manifest(
    kind: Literal["predictions", "outcomes"],
    slices: dict[int, int],
    *,
    watermark: int | None = None,
    name: str = "file",
) -> e.ManifestCommitted:
    """One archive file with so many rows per slice of one hour (by its begin in ms)."""
    rows = sum(slices.values())
    return e.ManifestCommitted(
        id=a_fresh_id(), time=NOON, model="fraud", kind=kind, topic=f"everloop.{kind}.v1", partition=0,
        first_offset=0, last_offset=rows, uri=f"memory://{kind}/{name}", sha256="0" * 64, rows=rows, history_rows=0,
        coverage=tuple(e.Coverage(start=start, rows=found) for start, found in slices.items()),
        watermark=watermark if watermark is not None else max(slices, default=0) + HOUR_MS,
    )  # fmt: skip


def a_signed_verdict(version: str = "1", champion: str | None = None) -> e.SignedVerdict:
    """What the gate says of a version that may serve; not really signed."""
    return e.SignedVerdict(
        model="fraud", version=version, artifact=e.FileRef(uri=f"memory://model/{version}", sha256="0" * 64),
        features={"amount": "numeric"}, task="binary", champion=champion, passed_at=NOON,
    )  # fmt: skip


def an_archive(slices: dict[int, int], *, champion: str | None = "1", rollout_live: str | None = None) -> Facts:
    """Facts of a model with so many labelled rows per slice of one hour, all in one pair of files."""
    both = (a_manifest("predictions", slices), a_manifest("outcomes", slices))
    verdict = a_signed_verdict(champion) if champion else None
    return Facts(manifests=both if slices else (), champion=verdict, rollout_live=rollout_live)


# ------------------------------------------------------------------------------------------------------- for rollouts


def an_arm_window(  # noqa: PLR0913 -- an arm has this many figures, and each has a default
    arm: str,
    version: str,
    rows: int = 5120,
    *,
    errors: float = 0.0,
    score: float = 0.2,
    loss: float | None = None,
    seed: int = 0,
) -> e.ArmWindow:
    """One arm with its sums, even over 256 buckets, with noise from `seed`; with a `loss` it is an arm of outcomes."""
    chance = np.random.default_rng([seed, rows, *arm.encode()])
    places = np.arange(rows) % 256
    noise = chance.normal(0, 0.1, rows)
    if loss is not None:
        sums = ArmSums.observe(places, loss=loss * (1 + noise))
    elif arm == "shadow":
        sums = ArmSums.observe(places, score=np.where(chance.random(rows) < errors, np.nan, score + noise))
    else:
        failed = chance.random(rows) < errors
        sums = ArmSums.observe(places, errors=failed, latency_ms=5 + noise, score=score + noise)
    return e.ArmWindow(arm=arm, version=version, rows=rows, buckets={**sums.to_plain()})


def a_window_of_arms(
    *arms: e.ArmWindow,
    start: datetime,
    end: datetime,
    kind: Literal["inputs", "outcomes"] = "inputs",
    now: datetime | None = None,
) -> e.WindowClosed:
    """A closed window of `fraud`, heard at `now` (default: its end)."""
    return e.WindowClosed(
        id=a_fresh_id(), time=now or end, model="fraud", kind=kind, start=millis(start), end=millis(end), arms=arms,
        rows=sum(arm.rows for arm in arms if arm.arm != "shadow"),
    )  # fmt: skip


def a_version_passed(version: str, champion: str | None, now: datetime = NOON) -> e.VersionPassed:
    """The gate passed a version that it has measured against `champion`; it has a turn of its own."""
    return e.VersionPassed(
        id=a_fresh_id(), time=now, model="fraud", correlation_id=a_fresh_id(), version=version, champion=champion,
        checks=(), verdict=a_signed_verdict(version, champion),
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------- for the gate


def a_version_created(version: str, now: datetime = NOON) -> e.ModelVersionCreated:
    """A version whose holdout is the hour after `NOON`, with 1,000 rows; it has a turn of its own."""
    cut = millis(NOON)
    files = (e.FileRef(uri="memory://predictions/file", sha256="0" * 64),)
    rows = e.Snapshot(start=cut - HOUR_MS, end=cut + HOUR_MS, strategy="full", predictions=files, outcomes=files)
    score = ColumnProfile(name="score", kind="numeric", counts=(0,))
    return e.ModelVersionCreated(
        id=a_fresh_id(), time=now, model="fraud", correlation_id=a_fresh_id(), version=version,
        artifact=e.FileRef(uri=f"memory://model/{version}", sha256="0" * 64), size=50_000, task="binary", recipe="x",
        features={"amount": "numeric"}, profile=Profile(rows=0, columns=(), score=score), metrics={"roc_auc": 0.9},
        snapshot=rows, holdout=rows.model_copy(update={"start": cut, "strategy": "holdout"}), train_rows=3000,
        holdout_rows=1000, cut=cut,
    )  # fmt: skip
