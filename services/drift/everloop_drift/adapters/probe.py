"""The probe on the log: its rows go the way of all rows, its verdicts are looked for, and blindness is an alert.

Predictions go out as Arrow and as JSON, since only the one can say infinity and only the other mixes texts with
numbers. Outcomes are said as if they were joined: the join would remember these rows for a month.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
import orjson
import structlog
from numpy.typing import NDArray

from everloop import topics
from everloop.buckets import buckets, partition
from everloop.codec import Headers, decode, encode
from everloop.errors import InvalidError
from everloop.events import EVERY_MODEL, AlertRaised, OutcomesJoined, PredictionsLogged, WindowJudged, named_id
from everloop.metrics import Metrics
from everloop.names import PROBE
from everloop.rows.values import Rows
from everloop.rows.writing import write_rows
from everloop.runtime.log import Log, Message, Place, Record
from everloop_drift.adapters.known import Known, Wall
from everloop_drift.adapters.wire import SOURCE
from everloop_drift.domain.cells import CHAMPION
from everloop_drift.domain.hearing import deaf_detectors
from everloop_drift.domain.probe import EACH, VERSION, ProbeRows, Schedule, probe_loop, probe_profile, probe_rows
from everloop_drift.domain.rules import WindowRules
from everloop_drift.domain.sight import INPUTS, Answer, Watch, answers, asked, heard, seen_in

Written = tuple[bytes, Headers]
Part = NDArray[np.intp]
LOOK_EVERY_S: Final = 1.0
TEXT: Final = "n/a"
logger = structlog.get_logger()


def adopt(known: Known, schedule: Schedule) -> None:
    """Let a data room know the probe, whose rules and reference are in no log."""
    rules = WindowRules.of_payload(probe_loop(schedule).to_payload())
    known.adopt(PROBE, VERSION, rules, probe_profile())


class Probe:
    """One replica: sends the window that has begun, hears the journal, says when drift is blind and when it sees again.

    Several may run: they send the same records, and raise the same alerts.
    """

    def __init__(
        self, log: Log, wall: Wall, schedule: Schedule, metrics: Metrics,
        deaf: Callable[[], Sequence[str]] = deaf_detectors,
    ) -> None:  # fmt: skip
        """`wall` is the clock that rows are dated by. What was judged before this process began is no news."""
        self.log = log
        self.wall = wall
        self.schedule = schedule
        self.metrics = metrics
        self.deaf = deaf
        self.watch = Watch()
        self.sent = -1
        self.looked_at: datetime | None = None
        self.place = Place(topics.DRIFT.name, partition(PROBE, topics.PARTITIONS))
        self.tail = log.tail()
        self.tail.seek(log.ends([self.place]))

    def step(self, timeout_s: float = 0.0) -> bool:
        """Look once a second; whether an alert was said."""
        del timeout_s
        now = self.wall()
        if self.looked_at is not None and (now - self.looked_at).total_seconds() < LOOK_EVERY_S:
            return False
        self.looked_at = now
        self._send(milliseconds(now))
        self._listen()
        return self._say(milliseconds(now))

    def close(self) -> None:
        """Let go of the connection."""
        self.tail.close()

    def _send(self, now: int) -> None:
        """The rows of this window, once; it counts as asked when they are acknowledged before it ends."""
        start = self.schedule.window(now)
        if start == self.sent:
            return
        self.log.publish([*messages(self.schedule, probe_rows(self.schedule, start), start, self.wall())])
        self.sent = start
        if milliseconds(self.wall()) < start + self.schedule.every:
            self.watch = asked(self.watch, self.schedule, start)

    def _listen(self) -> None:
        for record in self.tail.read_to(self.log.ends([self.place])):
            event = _judged(record)
            if event is not None:
                self._time(event)
                self.watch = heard(self.watch, self.schedule, event)

    def _time(self, event: WindowJudged) -> None:
        if INPUTS in seen_in(event, self.schedule):
            begun = self.schedule.drift_at(self.schedule.begin(event.start))
            self.metrics.set("everloop_probe_delay_seconds", (milliseconds(self.wall()) - begun) / 1000)

    def _say(self, now: int) -> bool:
        if not any(self.schedule.due(begin) <= now for begin in self.watch.sent):
            return False
        was_blind = self.watch.blind
        watch, said = answers(self.watch, self.schedule, now, self.deaf())
        alerted = False
        for answer in said:
            self.metrics.inc("everloop_probe_missed_total" if answer.lacking else "everloop_probe_found_total")
            if bool(answer.lacking) != was_blind:
                was_blind = bool(answer.lacking)
                self._tell(answer)
                alerted = True
        self.watch = watch
        return alerted

    def _tell(self, answer: Answer) -> None:
        alert = self._blind(answer) if answer.lacking else self._sees(answer)
        logger.warning(alert.name, summary=alert.summary)
        value, headers = encode(alert, source=SOURCE, recorded=self.wall())
        home = Place(topics.ALERTS.name, partition(EVERY_MODEL, topics.ALERTS.partitions))
        self.log.publish([Message(home, EVERY_MODEL.encode(), value, headers)])

    def _blind(self, answer: Answer) -> AlertRaised:
        drifted = datetime.fromtimestamp(self.schedule.drift_at(answer.begin) / 1000, UTC)
        return AlertRaised(
            id=named_id(AlertRaised.__name__, f"detector_blind/{answer.begin}"), time=self.wall(), model=EVERY_MODEL,
            name="detector_blind", severity="error",
            summary=f"drift does not see its own probe, which drifted at {drifted:%H:%M:%S} UTC: "
            f"{', '.join(answer.lacking)}; take no silence of drift for good news",
            details={"lacking": list(answer.lacking)},
        )  # fmt: skip

    def _sees(self, answer: Answer) -> AlertRaised:
        return AlertRaised(
            id=named_id(AlertRaised.__name__, f"detector_sees/{answer.begin}"), time=self.wall(), model=EVERY_MODEL,
            name="detector_sees", severity="info", summary="drift sees its own probe again",
        )  # fmt: skip


def messages(schedule: Schedule, rows: ProbeRows, start: int, now: datetime) -> Iterator[Message]:
    """The records of one window. Each window takes other partitions, so that in time every lane is tried."""
    points, first = np.arange(len(rows.ids)) // EACH, start // schedule.every
    yield _message(topics.PREDICTIONS, first, _arrow(rows, np.flatnonzero(points % 2 == 0), start, now))
    yield _message(topics.PREDICTIONS, first + 1, _json(rows, np.flatnonzero(points % 2), start, now))
    yield _message(topics.OUTCOMES, first + 2, _outcomes(rows, start, now))


def milliseconds(moment: datetime) -> int:
    """Since 1970."""
    return int(moment.timestamp() * 1000)


def _message(topic: topics.Topic, number: int, written: Written) -> Message:
    return Message(Place(topic.name, number % topic.partitions), PROBE.encode(), *written)


def _arrow(rows: ProbeRows, part: Part, start: int, now: datetime) -> Written:
    said = Rows(
        str(named_id(PredictionsLogged.__name__, f"{PROBE}/{start}/arrow")), PROBE, [rows.ids[row] for row in part],
        [rows.times[row] for row in part],
        {"x": rows.x[part], "group": [rows.group[row] for row in part]},
        version=VERSION, arm=CHAMPION, epoch=0, score=rows.score[part],
    )  # fmt: skip
    return write_rows(said, source=f"/everloop/{SOURCE}", now=now)


def _json(rows: ProbeRows, part: Part, start: int, now: datetime) -> Written:
    """What is no number is a text, or nothing."""
    event = PredictionsLogged.named(
        f"{PROBE}/{start}/json", moment(start), PROBE, version=VERSION, arm=CHAMPION, epoch=0,
        prediction_id=tuple(rows.ids[row] for row in part), times=tuple(rows.times[row] for row in part),
        features={
            "x": tuple(float(rows.x[row]) if not rows.bad[row] else (None, TEXT)[row // EACH // 2 % 2] for row in part),
            "group": tuple(None if rows.bad[row] else rows.group[row] for row in part),
        },
        score=tuple(None if rows.bad[row] else float(rows.score[row]) for row in part),
    )  # fmt: skip
    return encode(event, source=SOURCE, recorded=now)


def _outcomes(rows: ProbeRows, start: int, now: datetime) -> Written:
    """JSON has no NaN and no infinity, but a text that spells one is read as one."""
    event = OutcomesJoined.named(
        f"{PROBE}/{start}", moment(start), PROBE, source="producer", version=VERSION, arm=CHAMPION, epoch=0,
        prediction_id=rows.ids, times=rows.times, bucket=tuple(buckets(rows.ids).tolist()),
        score=tuple(rows.score.tolist()), label=tuple(rows.label.tolist()), labelled_at=rows.times,
    )  # fmt: skip
    value, headers = encode(event, source=SOURCE, recorded=now)
    spelt = {"score": [*map(_spelt, event.score)], "label": [*map(_spelt, event.label)]}
    return orjson.dumps({**orjson.loads(value), **spelt}), headers


def _spelt(number: float | None) -> float | str | None:
    return number if number is None or math.isfinite(number) else str(number)


def moment(at: int) -> datetime:
    """Of ms since 1970."""
    return datetime.fromtimestamp(at / 1000, UTC)


def _judged(record: Record) -> WindowJudged | None:
    """A verdict on the probe; None for what is another's, or no event."""
    if record.key != PROBE.encode():
        return None
    try:
        event = decode(record.value, record.headers)
    except InvalidError:
        return None
    return event if isinstance(event, WindowJudged) else None
