"""The dispatch rule of control services: decide, publish, read back, then commit (DESIGN rules 3 to 6, 12)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID, uuid5

import structlog

from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.errors import InvalidError
from everloop.events import (
    EVERY_MODEL,
    AlertRaised,
    ChecksStarted,
    DeadLettered,
    Event,
    JobEnded,
    JobOrphaned,
    ReportStarted,
    Severity,
    Tick,
    TrafficPlanned,
    TrainingStarted,
)
from everloop.facts import Facts
from everloop.jobs import Finished, Jobs
from everloop.logs import about
from everloop.metrics import Metrics
from everloop.names import PROBE
from everloop.runtime.broadcast import Broadcast, Clock, World
from everloop.runtime.journal import Validity
from everloop.runtime.log import Assignment, Log, Message, Place, Record
from everloop.runtime.reactor import Inline, Reactor
from everloop.runtime.room import Decider

S = TypeVar("S")
logger = structlog.get_logger()
JOB_KINDS: Mapping[type[Event], str] = {TrainingStarted: "training", ChecksStarted: "checks", ReportStarted: "report"}
"""What long work is called in metrics."""


@dataclass
class ModelJournal(Generic[S]):
    """One model's journal, folded: state, answered causes, and whether the fold has failed."""

    state: S
    sequence: int = 0
    last_time: datetime | None = None
    answered: set[UUID] = field(default_factory=set)
    stopped: bool = False
    failed_at: int = -1
    ticked: tuple[datetime, int] | None = None


@dataclass
class Held(Generic[S]):
    """One held partition of the own journal: its models, and the valid events whose projections are not written yet.

    `ticked` is the offset of `clock` below which models with a clock of their own have had their ticks.
    """

    validity: Validity = field(default_factory=Validity)
    models: dict[str, ModelJournal[S]] = field(default_factory=dict)
    position: int = 0
    undone: dict[int, tuple[Event, S]] = field(default_factory=dict)
    ticked: int = 0


class ControlService(Generic[S]):
    """One replica of a control service. `step` does what there is to do and says whether there was anything."""

    def __init__(  # noqa: PLR0913 -- what a service is made of
        self,
        room: Decider[S],
        log: Log,
        jobs: Jobs,
        *,
        replica: str,
        wall: Callable[[], datetime],
        lease_s: float = 5.0,
        metrics: Metrics | None = None,
        hands: Executor | None = None,
    ) -> None:
        """Join the group and open the broadcasts.

        `wall` is used for `recordedtime`, leases and the pauses of effects alone; `hands` do the effects.
        """
        self.room = room
        self.log = log
        self.jobs = jobs
        self.wall = wall
        self.lease_s = lease_s
        self.metrics = metrics or Metrics()
        self.world = World()
        self.held: dict[int, Held[S]] = {}
        self.heard: dict[Place, Validity] = {}
        self.running: dict[UUID, str] = {}
        self.assigned = Assignment(-1, frozenset())
        self.renewed = wall()
        names = [topic.name for topic in (topics.LOOPS, topics.CLOCK, *room.facts_from)]
        self.broadcast = Broadcast(log, names, f"everloop.{room.name}.broadcast.{replica}")
        self.consumer = log.consumer(f"everloop.{room.name}", [room.journal.name, *(t.name for t in room.hears)])
        self.tail = log.tail()
        self.reactor = Reactor(
            room.effects, log, f"everloop.{room.name}.effects", hands=hands or Inline(), wall=wall,
            metrics=self.metrics, tell=self._not_shown,
        )  # fmt: skip
        self._ticked = f"everloop.{room.name}.ticks"
        """Ticks of replayed clocks that were answered: the next holder must not answer them again on newer facts."""

    def step(self, timeout_s: float = 0.0) -> bool:
        """One round: broadcasts, deliveries, ended jobs, ticks, effects, leases. The clock of all alone is nothing."""
        records = self.consumer.poll(timeout_s)
        news = self.broadcast.news()
        for record, event in news:
            self.world.learn(record, event)
        self._take_over()
        ended = self.jobs.finished()
        if records or news or ended:
            self._catch_up()
        for record in records:
            self._deliver(record)
        for finished in ended:
            self._job_ended(finished)
        ticked = self._ticks()
        self.broadcast.commit()
        reacted = self.reactor.step()
        self._renew()
        heard = any(record.key != EVERY_MODEL.encode() for record, _ in news)
        return bool(records or heard or ended or ticked or reacted)

    def close(self) -> None:
        """Leave the group; running children end with their holder."""
        self.jobs.close()
        self.reactor.close()
        self.consumer.close()
        self.tail.close()
        self.broadcast.tail.close()

    # ---------------------------------------------------------------------------------------------- assignment

    def _take_over(self) -> None:
        assigned = self.consumer.assignment()
        if assigned == self.assigned:
            return
        self.assigned = assigned
        mine = {place.partition for place in assigned.places if place.topic == self.room.journal.name}
        for lost in self.held.keys() - mine:
            self._let_go(lost)
        self._prime_heard()
        ticked = self.log.committed(self._ticked, [Place(topics.CLOCK.name, number) for number in mine])
        for number in mine - self.held.keys():
            self.held[number] = Held(ticked=ticked[Place(topics.CLOCK.name, number)])
            self.reactor.hold(self._journal(number))
        self._seek()
        done = self.log.committed(f"everloop.{self.room.name}", map(self._journal, mine))
        self._catch_up()
        for number in mine:
            held = self.held[number]
            held.undone = {o: event for o, event in held.undone.items() if o >= done[self._journal(number)]}
            self._claim_orphans(number)

    def _let_go(self, number: int) -> None:
        self.reactor.let_go(self._journal(number))
        for model in self.held.pop(number).models:
            for started in [key for key, name in self.running.items() if name == model]:
                self.jobs.kill(str(started))
                del self.running[started]

    def _prime_heard(self) -> None:
        """Validity of the journals that are heard: read from the start to the committed offset, hand on nothing."""
        journals = {topic.name for topic in self.room.hears if topic.journal}
        places = [place for place in sorted(self.assigned.places) if place.topic in journals]
        tail = self.log.tail()
        tail.seek(dict.fromkeys(places, 0))
        self.heard = {place: Validity() for place in places}
        for record in tail.read_to(self.log.committed(f"everloop.{self.room.name}", places)):
            self.heard[record.place].accept(record)
        tail.close()

    def _seek(self) -> None:
        self.tail.seek({self._journal(number): held.position for number, held in self.held.items()})

    def _journal(self, number: int) -> Place:
        return Place(self.room.journal.name, number)

    # ------------------------------------------------------------------------------------------- the journal rule

    def _catch_up(self) -> None:
        """Fold the own journal up to an end that is asked for now: once for all inputs of a round, which have come.

        What somebody else writes meanwhile makes our own record void, and then it is decided again.
        """
        ends = self.log.ends(map(self._journal, self.held))
        for place, end in ends.items():
            self._read_to(place.partition, end)

    def _read_to(self, number: int, end: int) -> None:
        """Fold one partition of the own journal up to `end` (exclusive)."""
        place, held = self._journal(number), self.held[number]
        if end <= held.position:
            return
        for record in self.tail.read_to({place: end}):
            event = held.validity.accept(record)
            if event is None:
                self.metrics.inc("everloop_void_records_total", topic=place.topic)
            else:
                self._fold(held, event, record.offset)
                self.reactor.add(place, record.offset, event)
        held.position = end

    def _fold(self, held: Held[S], event: Event, offset: int) -> None:
        journal = held.models.setdefault(event.model, ModelJournal(self.room.initial()))
        journal.sequence = event.sequence or 0
        journal.last_time = event.time
        if event.causation_id:
            journal.answered.add(event.causation_id)
        try:
            journal.state = self.room.evolve(journal.state, event)
        except Exception as error:  # noqa: BLE001 -- any failure of the pure fold stops this model, never the service (rule 5)
            self._stop(journal, event, error)
        held.undone[offset] = (event, journal.state)

    def _stop(self, journal: ModelJournal[S], event: Event, error: Exception) -> None:
        journal.stopped = True
        summary = f"{self.room.name} cannot fold its journal of {event.model} and has stopped deciding for it"
        self._alert("model_stopped", event, summary, type(error).__name__)

    def _handle(self, cause: Event, now: datetime, facts: Facts | None) -> bool:
        """Decide one input on the newest journal until a valid record answers it; whether anything was said."""
        number = partition(cause.model, topics.PARTITIONS)
        loop = self.world.loops.get(cause.model)
        if loop is None or number not in self.held:
            return False
        said = False
        while True:
            journal = self.held[number].models.setdefault(cause.model, ModelJournal(self.room.initial()))
            if journal.stopped or cause.id in journal.answered:
                break
            if isinstance(cause, Tick) and journal.failed_at == journal.sequence:
                break  # the same state failed on a tick before: one dead letter tells all
            moment = max(now, journal.last_time) if journal.last_time else now
            try:
                event = self.room.decide(journal.state, cause, moment, loop, facts)
            except Exception as error:  # noqa: BLE001 -- the pure core is deterministic: retrying cannot help (rule 12)
                journal.failed_at = journal.sequence
                self._failed(cause, error)
                break
            if event is None:
                break
            sealed = self.room.seal(event.model_copy(update={"sequence": journal.sequence + 1}))
            offset = self._write(self._journal(number), sealed)
            self._read_to(number, offset + 1)
            self._tell(sealed)
            said = True
        self._start_jobs(number)
        return said

    def _tell(self, event: Event) -> None:
        """One log line and one count for each decision."""
        self.metrics.inc("everloop_events_total", event=event.TYPE)
        with about(event):
            logger.info("decided", type=event.TYPE, sequence=event.sequence)

    # ------------------------------------------------------------------------------------------------- deliveries

    def _deliver(self, record: Record) -> None:
        if record.place not in self.assigned.places:
            return
        if record.place.topic == self.room.journal.name:
            self._react(record)
        else:
            self._hear(record)
        self.consumer.commit({record.place: record.offset + 1})

    def _hear(self, record: Record) -> None:
        validity = self.heard.get(record.place)
        event = validity.accept(record) if validity else self._decode(record)
        if event is None or (event.model == PROBE and PROBE not in self.world.loops):
            return  # the probe is drift's own: to the others it is no model, and no mistake of anybody
        why = self._undecidable(event)
        if why:
            self._dead_letter(
                record, InvalidError(why, f"{self.room.name} cannot decide on {type(event).__name__}: {why}")
            )
        else:
            self._handle(event, event.time, None)

    def _undecidable(self, event: Event) -> str | None:
        """Why no state of ours can answer this input; None when one can."""
        number = partition(event.model, topics.PARTITIONS)
        if event.model not in self.world.loops:
            return "unknown_model"
        if number not in self.held:
            return "misplaced"
        journal = self.held[number].models.get(event.model)
        return "model_stopped" if journal and journal.stopped else None

    def _decode(self, record: Record) -> Event | None:
        try:
            return decode(record.value, record.headers)
        except InvalidError as error:
            self._dead_letter(record, error)
            return None

    def _react(self, record: Record) -> None:
        """What follows from a valid record of the own journal in the log; a repeat changes nothing."""
        number = record.place.partition
        self._read_to(number, record.offset + 1)
        undone = self.held[number].undone.pop(record.offset, None)
        if undone is None:
            return
        event, state = undone
        project = self.room.projections.get(type(event))
        for projected in project(state, event) if project else ():
            self._project(projected)

    def _project(self, event: AlertRaised | TrafficPlanned) -> None:
        if isinstance(event, AlertRaised):
            self._write(Place(topics.ALERTS.name, partition(event.model, topics.PARTITIONS)), event)
            return
        place = Place(topics.TRAFFIC.name, partition(event.model, topics.PARTITIONS))
        value, headers = encode(event, source=self.room.name, recorded=self.wall())
        messages = [Message(place, f"{event.model}:{event.epoch}".encode(), value, headers)]
        if event.supersedes is not None:
            messages.append(Message(place, f"{event.model}:{event.supersedes}".encode(), None))
        self.log.publish(messages)

    def _renew(self) -> None:
        now = self.wall()
        if (now - self.renewed).total_seconds() < self.lease_s:
            return
        self.renewed = now
        for held in self.held.values():
            for journal in held.models.values():
                for projected in self.room.standing(journal.state):
                    self._project(projected)

    # ------------------------------------------------------------------------------------------------------ ticks

    def _ticks(self) -> bool:
        said = False
        for model in sorted(self.world.loops):
            clock = self.world.clock(model)
            number = partition(model, topics.PARTITIONS)
            if clock is not None and number in self.held:
                said |= self._tick(model, number, clock)
        return said

    def _tick(self, model: str, number: int, clock: Clock) -> bool:
        journal = self.held[number].models.setdefault(model, ModelJournal(self.room.initial()))
        moment = (clock.moved.control, clock.moved.round)
        own = clock.moved.model == model
        if (journal.ticked is not None and moment <= journal.ticked) or (
            own and clock.offset < self.held[number].ticked
        ):
            return False
        journal.ticked = moment
        tick = Tick.named(f"{clock.name}/{model}", clock.moved.control, model)
        said = self._handle(tick, clock.moved.control, self.world.facts.get(model, Facts()))
        if own:
            self.log.commit_as(self._ticked, {clock.place: clock.offset + 1})
        return said

    # ------------------------------------------------------------------------------------------------------- jobs

    def _start_jobs(self, number: int) -> None:
        for model, journal in self.held[number].models.items():
            job = self.room.job(journal.state)
            if job is not None and job.started.id not in self.running:
                self.running[job.started.id] = model
                spec = job.started.spec
                self.jobs.start(
                    str(job.started.id), type(job.started).__name__, spec.model_dump_json().encode(), spec.timeout_s
                )

    def _claim_orphans(self, number: int) -> None:
        """Long work that was started by somebody else and has no end: say so, and start it as the next attempt."""
        for model, journal in list(self.held[number].models.items()):
            job = self.room.job(journal.state)
            if job is not None and job.started.id not in self.running:
                self.running[job.started.id] = model
                identity = uuid5(job.started.id, "orphaned")
                turn = job.started.correlation_id
                orphan = JobOrphaned(
                    id=identity, time=job.started.time, model=model, correlation_id=turn,
                    started=job.started.id, attempt=job.attempt,
                )  # fmt: skip
                self._handle(orphan, self._now(model, job.started.time), None)

    def _job_ended(self, finished: Finished) -> None:
        started = UUID(finished.key)
        model = self.running.get(started)
        if model is None:
            return
        number = partition(model, topics.PARTITIONS)
        job = self.room.job(self.held[number].models[model].state) if number in self.held else None
        if job is None or job.started.id != started:
            return
        ended = JobEnded(
            id=uuid5(started, "ended"),
            time=self._now(model, job.started.time),
            model=model,
            correlation_id=job.started.correlation_id,
            started=started,
            attempt=job.attempt,
            ok=finished.ok,
            result=finished.result,
            error=finished.error,
        )
        kind = JOB_KINDS[type(job.started)]
        self.metrics.inc("everloop_jobs_total", kind=kind, outcome="ok" if finished.ok else "failed")
        self._handle(ended, ended.time, None)

    def _now(self, model: str, at_least: datetime) -> datetime:
        clock = self.world.clock(model)
        return max(clock.moved.control, at_least) if clock else at_least

    # ---------------------------------------------------------------------------------------------------- failures

    def _failed(self, cause: Event, error: Exception) -> None:
        kind = type(cause).__name__
        self.metrics.inc("everloop_dead_letters_total", topic=self.room.journal.name, reason="handler_failed")
        logger.error(
            "handler_failed", service=self.room.name, model=cause.model, input=kind, error=type(error).__name__
        )
        letter = DeadLettered.named(
            f"{self.room.name}/{cause.id}", cause.time, cause.model, topic=self.room.journal.name, partition=0,
            offset=0, reason="handler_failed", stage=self.room.name, error=f"{kind}: {type(error).__name__}",
        )  # fmt: skip
        self._write(Place(topics.DLQ.name, partition(cause.model, topics.PARTITIONS)), letter)
        summary = f"{self.room.name} could not decide on {kind}; the input is in {topics.DLQ.name}"
        self._alert("handler_failed", cause, summary, type(error).__name__)

    def _dead_letter(self, record: Record, error: InvalidError) -> None:
        place = record.place
        self.metrics.inc("everloop_dead_letters_total", topic=place.topic, reason=error.reason)
        letter = DeadLettered.named(
            f"{self.room.name}/{place.topic}/{place.partition}/{record.offset}", self.wall(), "unknown",
            topic=place.topic, partition=place.partition, offset=record.offset, reason=error.reason,
            stage=self.room.name, error=str(error), key=_text(record.key), value=_text(record.value),
        )  # fmt: skip
        self._write(Place(topics.DLQ.name, place.partition), letter)

    def _not_shown(self, event: Event, why: str, *, for_good: bool) -> None:
        """Short work outside that is not done; whether it is tried again no more."""
        what = f"{type(event).__name__} of {event.model}"
        if for_good:
            self._alert("registry_refused", event, f"the registry will not show {what}: {why}", why, "warning")
        else:
            said = f"the registry does not show {what} yet, decisions and traffic go on: {why}"
            self._alert("registry_behind", event, said, why, "warning")

    def _alert(self, name: str, about: Event, summary: str, error: str, severity: Severity = "error") -> None:
        alert = AlertRaised.about(about, self.room.name, name=name, severity=severity, summary=summary, error=error)
        self._project(alert)

    def _write(self, place: Place, event: Event) -> int:
        """Its offset, once it is acknowledged."""
        value, headers = encode(event, source=self.room.name, recorded=self.wall())
        return self.log.publish([Message(place, event.model.encode(), value, headers)])[0]


def _text(raw: bytes | None) -> str | None:
    return base64.b64encode(raw).decode() if raw is not None else None
