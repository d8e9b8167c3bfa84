"""What serving hears and says, and the server itself: obey the newest proven plan, score, log. No threads in here.

`step` belongs to one thread, `score` and `predict` to any: they read a table whose entries are replaced as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from everloop import topics
from everloop.buckets import partition
from everloop.codec import encode
from everloop.errors import InvalidError
from everloop.events import (
    AlertRaised,
    ArmPlan,
    Event,
    LoopApplied,
    PredictionsLogged,
    ShadowScores,
    SignedVerdict,
    TrafficPlanned,
    named_id,
)
from everloop.metrics import Metrics
from everloop.runtime.broadcast import Broadcast
from everloop.runtime.log import Log, Message, Place, Record
from everloop.signing import PublicKey, verify_verdict
from everloop_serving.domain import plans as p
from everloop_serving.domain.records import Cell, Rows, Scores, record
from everloop_serving.domain.splitting import CHAMPION, Lease, alone, champion_of, in_force, route

NAME: Final = "serving"
CONSUMES: Final = (topics.TRAFFIC, topics.LOOPS)
PRODUCES: Final = (topics.PREDICTIONS, topics.ALERTS)
_MS: Final = 1000
logger = structlog.get_logger()


class Scoring(Protocol):
    """A model that is ready for rows; `everloop.models.Scorer` is one."""

    def score(self, columns: Mapping[str, Sequence[object]]) -> NDArray[np.float64]:
        """One score per row. May raise anything."""
        ...


FetchScorer = Callable[[SignedVerdict], Scoring | None]
"""Gives the warm model of a verdict, None while it is being prepared. Raises `InvalidError` where it must not serve."""


class UnknownModelError(LookupError):
    """Nobody has applied a loop of this name."""


class StartingError(LookupError):
    """What is applied was not read to its end yet, or the model's first plan waits for its models to be warm."""


class NoChampionError(LookupError):
    """The model has no champion yet."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller is told of one row. `arm` and `version` say whose score it is."""

    prediction_id: str
    score: float | None
    arm: str
    version: str
    epoch: int
    status: str


@dataclass(frozen=True, slots=True)
class Live:
    """One model as requests see it: the lease and its models by digest."""

    lease: Lease
    scorers: Mapping[str, Scoring]


class Server:
    """The reference scorer of all models."""

    def __init__(
        self,
        log: Log,
        fetch_scorer: FetchScorer,
        public_key: PublicKey | None,
        wall: Callable[[], datetime],
        *,
        replica: str = "0",
        metrics: Metrics | None = None,
    ) -> None:
        """Nothing is read yet. Without a key no signature is asked for: in simulations only. `wall`: for leases."""
        self.log: Final = log
        self.fetch_scorer: Final = fetch_scorer
        self.public_key: Final = public_key
        self.wall: Final = wall
        self.metrics: Final = metrics or Metrics()
        self.group: Final = f"everloop.{NAME}.broadcast.{replica}"
        self.partitions: Final = log.partitions(topics.PREDICTIONS.name)
        self.loops: set[str] = set()
        self.heard = False
        self.plans: Final[dict[str, p.Plans]] = {}
        self.live: Final[dict[str, Live]] = {}
        self.refused: int = 0
        self.broadcast = self._open()

    def reopen(self) -> None:
        """Read all again from the start, after the broker was lost; what is known stays, repeats change nothing."""
        self.broadcast.tail.close()
        self.broadcast = self._open()

    def _open(self) -> Broadcast:
        return Broadcast(self.log, [topic.name for topic in CONSUMES], self.group)

    # ------------------------------------------------------------------------------------------------------- plans

    def step(self, timeout_s: float = 0.0) -> bool:
        """Hear the news and put plans into force; whether there was anything to do.

        Progress is committed only when each plan that was heard serves or was refused: so whoever waits for this group
        waits for the models as well.
        """
        del timeout_s
        news = self.broadcast.news()
        for found, event in news:
            self._hear(found, event)
        self.heard = True
        changed = [self._settle(model) for model in sorted(self.plans)]
        if self.awaits(unserved_only=False) is None:
            self.broadcast.commit()
        return bool(news) or any(changed)

    def awaits(self, *, unserved_only: bool = True) -> str | None:
        """Say whose models are awaited; None when nothing is. By default only models that nothing serves yet count."""
        for model, plans in sorted(self.plans.items()):
            if plans.waiting and not (unserved_only and plans.serving):
                return f"the models of {model} for epoch {plans.waiting.plan.epoch}"
        return None

    def close(self) -> None:
        """Let go of the connection."""
        self.broadcast.tail.close()

    def _hear(self, found: Record, event: Event | None) -> None:
        match event:
            case TrafficPlanned():
                self._hear_plan(found, event)
            case LoopApplied():
                self.loops.add(event.model)
            case None if found.place.topic == topics.TRAFFIC.name:
                self._drop(found.key or b"")
            case None:
                self.loops.discard((found.key or b"").decode(errors="replace"))
            case _:
                return
        self.metrics.know({*self.loops, *self.live})

    def _hear_plan(self, found: Record, plan: TrafficPlanned) -> None:
        known = self.plans.get(plan.model, p.Plans())
        try:
            check_key(found.key, plan)
            self._put(plan.model, p.hear(known, plan, found.appended_ms, self._verify))
        except InvalidError as error:
            self._refuse(plan, error, broken=None)

    def _verify(self, verdict: SignedVerdict) -> None:
        if self.public_key is not None:
            verify_verdict(self.public_key, verdict)

    def _drop(self, key: bytes) -> None:
        model, _, epoch = key.decode(errors="replace").rpartition(":")
        if model in self.plans and epoch.isdecimal():
            self._put(model, p.drop(self.plans[model], int(epoch)))

    def _put(self, model: str, plans: p.Plans) -> None:
        """Remember, and show requests the lease as it is now."""
        self.plans[model] = plans
        live = self.live.get(model)
        if plans.serving is None:
            self.live.pop(model, None)
        elif live is not None:
            self.live[model] = Live(plans.serving, live.scorers)

    def _settle(self, model: str) -> bool:
        """Put the waiting plan into force when all its models are warm; whether anything changed."""
        waiting = self.plans[model].waiting
        if waiting is None:
            return False
        scorers: dict[str, Scoring] = {}
        for arm in p.scorers_of(waiting.plan):
            try:
                scorer = self._scorer(model, arm.verdict)
            except InvalidError as error:
                self._refuse(waiting.plan, error, broken=arm)
                return True
            if scorer is None:
                return False
            scorers[arm.verdict.artifact.sha256] = scorer
        self._take_over(model, waiting, scorers)
        return True

    def _scorer(self, model: str, verdict: SignedVerdict) -> Scoring | None:
        live = self.live.get(model)
        held = live.scorers.get(verdict.artifact.sha256) if live else None
        return held or self.fetch_scorer(verdict)

    def _take_over(self, model: str, lease: Lease, scorers: Mapping[str, Scoring]) -> None:
        self.plans[model] = p.take_over(self.plans[model])
        self.live[model] = Live(lease, scorers)
        self.metrics.know({*self.loops, *self.live})
        self.metrics.set("everloop_plan_epoch", lease.plan.epoch, model=model)
        weights = {"candidate": 0.0, **{arm.arm: arm.weight for arm in lease.plan.arms}}
        for arm, weight in weights.items():
            self.metrics.set("everloop_plan_weight", weight, model=model, arm=arm)
        logger.info("plan_obeyed", model=model, epoch=lease.plan.epoch, arms=len(lease.plan.arms))

    def _refuse(self, plan: TrafficPlanned, error: InvalidError, *, broken: ArmPlan | None) -> None:
        """Refuse, count, and tell people once per plan and reason; the previous plan stays."""
        known = self.plans.get(plan.model, p.Plans())
        if known.refused.get(p.fingerprint(plan)) != error.reason:
            self._alert(plan, error)
            self.refused += 1
            logger.error("plan_refused", model=plan.model, epoch=plan.epoch, reason=error.reason)
        proven = error.reason != "shape" and self._is_champion_proven(plan, broken)
        self._put(plan.model, p.refuse(known, plan, error.reason, champion_proven=proven))

    def _is_champion_proven(self, plan: TrafficPlanned, broken: ArmPlan | None) -> bool:
        """Whether only another arm than the champion is at fault."""
        try:
            p.check(alone(plan), self._verify)
        except (InvalidError, StopIteration):
            return False
        return broken is None or broken.verdict.artifact.sha256 != champion_of(plan).verdict.artifact.sha256

    def _alert(self, plan: TrafficPlanned, error: InvalidError) -> None:
        name = f"{NAME}/plan_refused/{plan.model}/{plan.epoch}/{p.fingerprint(plan)}/{error.reason}"
        alert = AlertRaised(
            id=named_id("AlertRaised", name), time=plan.time, model=plan.model, correlation_id=plan.correlation_id,
            causation_id=plan.id, name="plan_refused", severity="error",
            summary=f"serving refused the traffic plan of epoch {plan.epoch}: {error}; the previous plan stays",
            details={"reason": error.reason, "epoch": plan.epoch},
        )  # fmt: skip
        place = Place(topics.ALERTS.name, partition(plan.model, topics.ALERTS.partitions))
        self.log.publish([self._message(place, plan.model, alert)])
        self.metrics.inc("everloop_events_total", event=alert.TYPE)

    # ---------------------------------------------------------------------------------------------------- requests

    def predict(self, model: str, rows: Rows, now: datetime) -> list[Answer]:
        """Score, log, wait for the broker's acknowledgement, answer in the order of the rows. Raises as `score`."""
        answers, messages = self.score(model, rows, now)
        self.log.publish(messages)
        return answers

    def score(self, model: str, rows: Rows, now: datetime) -> tuple[list[Answer], list[Message]]:
        """The answers, and what is still to be published. Raises the `LookupError`s above."""
        live = self.live.get(model)
        if live is None:
            raise self._missing(model)
        request = Request(live, rows, round(self.wall().timestamp() * _MS))
        events = request.run(now)
        self._count(model, request)
        return request.answers, [self._message(self._place(event), event.prediction_id[0], event) for event in events]

    def _missing(self, model: str) -> LookupError:
        """Why nothing can be served: whoever has not read `loops` to its end knows of no model that there is none."""
        if not self.heard or self.plans.get(model, p.Plans()).waiting:
            return StartingError(model)
        return NoChampionError(model) if model in self.loops or model in self.plans else UnknownModelError(model)

    def _place(self, event: PredictionsLogged) -> Place:
        return Place(topics.PREDICTIONS.name, partition(event.prediction_id[0], self.partitions))

    def _message(self, place: Place, key: str, event: Event) -> Message:
        value, headers = encode(event, source=NAME, recorded=self.wall())
        return Message(place, key.encode("utf-8", "surrogatepass"), value, headers)

    def _count(self, model: str, request: Request) -> None:
        for arm, scores in request.scores.items():
            failed = sum(score is None for score in scores.score)
            for outcome, count in (("ok", len(scores.score) - failed), ("error", failed)):
                if count:
                    self.metrics.inc("everloop_scored_rows_total", count, model=model, arm=arm, outcome=outcome)
        self.metrics.observe("everloop_score_seconds", request.seconds, model=model)


class Request:
    """One request on its way: who scores which rows, what is answered and what is logged."""

    def __init__(self, live: Live, rows: Rows, now_ms: int) -> None:
        """`now_ms`: wall time, for the lease."""
        self.live: Final = live
        self.rows: Final = rows
        self.plan: Final = in_force(live.lease, now_ms)
        self.routed: Final = route(rows.entities, live.lease, now_ms)
        self.arms: Final = {arm.arm: arm for arm in self.plan.arms}
        self.scores: Final[dict[str, Scores]] = {}
        self.found: Final[list[Answer | None]] = [None] * len(rows.prediction_id)
        self.seconds = 0.0

    @property
    def answers(self) -> list[Answer]:
        """In the order of the rows."""
        return [answer for answer in self.found if answer is not None]

    def run(self, now: datetime) -> list[PredictionsLogged]:
        """Score all arms; one record per arm. What a candidate fails on, the champion answers.

        The record keeps the candidate's error on its own arm, and the champion's answer is not logged a second time:
        each prediction id stands on the log once.
        """
        began = time.perf_counter()
        events = [self._arm(self.arms[arm], places, now) for arm, places in self.routed.items()]
        self._rescue([place for place, answer in enumerate(self.found) if answer and _is_rescued(answer)])
        self.seconds = time.perf_counter() - began
        return events

    def _arm(self, arm: ArmPlan, places: Sequence[int], now: datetime) -> PredictionsLogged:
        rows = self.rows.at(places)
        scores = self.scores[arm.arm] = self._score(arm, rows)
        self._answer(arm, places, scores)
        return record(self.plan.epoch, arm, rows, scores, now, self._shadow(arm, rows))

    def _rescue(self, places: Sequence[int]) -> None:
        if places:
            champion = self.arms[CHAMPION]
            self._answer(champion, places, self._score(champion, self.rows.at(places)))

    def _shadow(self, arm: ArmPlan, rows: Rows) -> ShadowScores | None:
        """What the shadow says of the champion's rows."""
        if arm.arm != CHAMPION or self.plan.shadow is None:
            return None
        scores = self.scores["shadow"] = self._score(self.plan.shadow, rows)
        return ShadowScores(version=self.plan.shadow.version, score=tuple(scores.score))

    def _score(self, arm: ArmPlan, rows: Rows) -> Scores:
        began = time.perf_counter()
        score = attempt(self.live.scorers[arm.verdict.artifact.sha256], rows.features, len(rows.prediction_id))
        return Scores(score, (time.perf_counter() - began) * _MS)

    def _answer(self, arm: ArmPlan, places: Sequence[int], scores: Scores) -> None:
        ids, epoch = self.rows.prediction_id, self.plan.epoch
        for place, score, status in zip(places, scores.score, scores.status, strict=True):
            self.found[place] = Answer(ids[place], score, arm.arm, arm.version, epoch, status)


def _is_rescued(answer: Answer) -> bool:
    return answer.status == "error" and answer.arm != CHAMPION


def check_key(key: bytes | None, plan: TrafficPlanned) -> None:
    """Compaction goes by key: a plan under another key would outlive its tombstone. Raises `InvalidError`."""
    if key != f"{plan.model}:{plan.epoch}".encode():
        raise InvalidError("mismatch", "the key of a plan is model:epoch")


def attempt(scorer: Scoring, columns: Mapping[str, Sequence[Cell]], rows: int) -> list[float | None]:
    """Score; None for each row without a finite score, and for all where the model raises or miscounts."""
    try:
        scores = np.asarray(scorer.score(columns), dtype=np.float64).reshape(rows)
    except Exception as error:  # noqa: BLE001 -- whatever a foreign estimator raises is an error of these rows
        logger.warning("scoring_failed", error=type(error).__name__, rows=rows)
        return [None] * rows
    finite = np.isfinite(scores)
    return [float(score) if good else None for score, good in zip(scores, finite, strict=True)]
