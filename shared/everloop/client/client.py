"""The client: what a server of yours calls. Everything that takes time happens in the threads of its engine."""

from __future__ import annotations

import atexit
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import SecretStr, TypeAdapter, ValidationError

from everloop.client.engine import Engine
from everloop.client.limits import Limits
from everloop.client.over_http import HttpTransport
from everloop.client.sending import Transport
from everloop.client.spill import Spill
from everloop.client.tally import Stats, Tally
from everloop.client.values import (
    About,
    Features,
    Held,
    NewIds,
    OneOrMany,
    Prediction,
    Ranges,
    Row,
    hold,
    hold_feedback,
    hold_labels,
    hold_ranges,
    now_ms,
)
from everloop.settings import Broker, HttpUrl
from everloop.tokens import Role, from_environment

NO_ROOM: Final = "the queue is full: log less often, or give larger Limits"
CLOSED: Final = "the client is closed"
_CLIENTS: Final[weakref.WeakSet[Client]] = weakref.WeakSet()
_ABANDONED: Final[list[Engine]] = []
"""Engines of a parent process: they are kept, since what would tidy them up would tidy up the parent's connections."""


class Client:
    """Logs predictions, labels and feedback, from any number of threads.

    A call copies what it is given and returns; it waits for no disk and no network, and raises nothing for their
    trouble. It raises `TypeError` or `ValueError` for what is wrong in your code and cheap to see: no model or version,
    features that are no rows, columns of unequal length. What is wrong with a single value is found later, and counted
    as refused.
    """

    def __init__(  # noqa: PLR0913 -- each by its name
        self,
        target: str,
        *,
        model: str | None = None,
        version: str | None = None,
        arm: str | None = None,
        spill: str | os.PathLike[str] | None = None,
        tokens: Mapping[Role, str] | None = None,
        limits: Limits | None = None,
        connect: Callable[[], Transport] | None = None,
    ) -> None:
        """Start nothing yet: threads and connections come with the first call, in each process that calls.

        `target` is the front door's address, `http://HOST:PORT`, or that of Kafka, `HOST:PORT` on loopback. `model`,
        `version` and `arm` are those of calls that name none. `spill` is a folder for what cannot be sent; several
        processes may share it. Without it that is dropped, with a count, when memory is full. `tokens` by role
        (`ingest`, `labels`) are shown to the front door; without them those of the environment are
        (`EVERLOOP_TOKEN_INGEST`, `EVERLOOP_TOKEN_LABELS`). Raises `ValueError` for a target that is neither.
        """
        self._about: Final = About("predictions", model or "", version, arm)
        self._limits: Final = limits or Limits()
        self._spill: Final = None if spill is None else Path(spill)
        self._connect: Final = connect or _transport(target, _clear(tokens), self._limits.timeout_s)
        self._closed = False
        self._begin()
        _watch_forks()
        _CLIENTS.add(self)
        atexit.register(self.close)

    def log_predictions(  # noqa: PLR0913 -- one name per column
        self,
        features: Features,
        score: OneOrMany = None,
        *,
        prediction_id: OneOrMany = None,
        entity_id: OneOrMany = None,
        time: OneOrMany = None,
        latency_ms: OneOrMany = None,
        status: OneOrMany = None,
        model: str | None = None,
        version: str | None = None,
        arm: str | None = None,
    ) -> list[str]:
        """Log what a model was asked and has answered; give the prediction ids, by which labels are logged later.

        `features` are one row (a mapping of names to values), many rows (a list of them), columns (a mapping of names
        to lists or arrays) or a table such as a DataFrame. A value is a number, a text, a boolean or None. The other
        arguments are one value for all rows, or one for each. `score` is the number that the model answered;
        `prediction_id` is made here where you have none; `entity_id` is whom it is about, `time` when (an aware
        datetime, or ms since 1970; now by default), `status` is `ok` or `error`.
        """
        at = now_ms() if time is None else time
        given = Prediction(features, score, prediction_id, entity_id, at, latency_ms, status)
        held, ids = hold(self._named(model, version, arm), given, self._new_ids)
        self._put(held)
        return ids

    def log_labels(  # noqa: PLR0913 -- two forms of one call
        self,
        prediction_id: OneOrMany = None,
        label: OneOrMany = None,
        *,
        entity_id: OneOrMany = None,
        start: OneOrMany = None,
        end: OneOrMany = None,
        labelled_at: OneOrMany = None,
        model: str | None = None,
    ) -> None:  # fmt: skip
        """Log what really happened, for one prediction or for many. `labelled_at` is when that became known: now.

        With `entity_id`, `start` and `end` instead of prediction ids, a label is that of every prediction of the entity
        whose time lies in [`start`, `end`), whether it was logged already or will be. Raises `TypeError` for both.
        """
        name = model or self._about.model
        if not name:
            raise TypeError("model: missing: give it to the client or to the call")
        if (prediction_id is None) == (entity_id is None) or label is None:
            raise TypeError("label: give it with prediction_id, or with entity_id, start and end")
        if entity_id is None:
            self._put(hold_labels(About("labels", name), prediction_id, label, labelled_at))
        elif start is None or end is None:
            raise TypeError("start, end: missing: a label by entity says which time it is of")
        else:
            ranges = Ranges(entity_id, start, end, label, labelled_at)
            self._put(hold_ranges(About("labels", name, by_entity=True), ranges))

    def log_feedback(
        self,
        prediction_id: OneOrMany,
        name: OneOrMany,
        value: OneOrMany,
        *,
        said_at: OneOrMany = None,
        model: str | None = None,
    ) -> None:
        """Log numbers that predictions have brought beside their labels, such as clicks or revenue.

        `name` is one that the model's loop file declares under `feedback`, `said_at` when the value became known: now.
        Of one prediction and name the last word counts. Each but the first is one value for all rows, or one for each.
        """
        about = About("feedback", model or self._about.model)
        if not about.model:
            raise TypeError("model: missing: give it to the client or to the call")
        self._put(hold_feedback(about, prediction_id, name, value, said_at))

    def log_later(self, size: int, read: Callable[[], Prediction | None], new_ids: NewIds | None = None) -> None:
        """Log what `read` gives, which is called in the background: it may take its time, as parsing does.

        It gives None where there is nothing to log. What it holds on to takes about `size` bytes of the queue, and
        counts as one row until it is read. `new_ids` gives so many ids for rows that have none.
        """
        self._put(Held(1, size, self._read_later, (read, new_ids or self._new_ids, now_ms())))

    def stats(self) -> Stats:
        """Say what has become of the rows of this process. Exact after `close`."""
        engine = self._engine
        return self._tally.stats(*(engine.waiting() if engine is not None else (0, 0)))

    def start(self) -> None:
        """Start now what the first call would start: what an earlier process left on disk is sent."""
        if self._engine is None and not self._closed:
            self._started()

    def close(self, timeout_s: float | None = None) -> None:
        """Send what waits, within a time (s). The rest stays on disk, or is dropped with its count. Later calls too."""
        with self._lock:
            engine, self._closed = self._engine, True
        atexit.unregister(self.close)
        if engine is not None:
            engine.close(self._limits.close_s if timeout_s is None else timeout_s)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _begin(self) -> None:
        """Be new: in a new process nothing has been counted, and nobody holds a lock."""
        self._lock = threading.Lock()
        self._tally = Tally()
        self._engine: Engine | None = None
        self._prefix = secrets.token_hex(8)
        self._numbers = count()

    def _new_ids(self, rows: int) -> list[str]:
        prefix, numbers = self._prefix, self._numbers
        return [f"{prefix}-{next(numbers):x}" for _ in range(rows)]

    def _read_later(self, read: Callable[[], Prediction | None], new_ids: NewIds, now: int) -> tuple[About, list[Row]]:
        given = read()
        if given is None:
            return self._about, []
        timed = given if given.time is not None else given._replace(time=now)
        held, _ = hold(self._named(None, given.version, given.arm), timed, new_ids)
        return held.unfold(*held.parts)

    def _named(self, model: str | None, version: str | None, arm: str | None) -> About:
        known = self._about
        if model is None and version is None and arm is None:
            about = known
        else:
            about = About("predictions", model or known.model, version or known.version, arm or known.arm)
        if not about.model or not about.version:
            lacking = "version" if about.model else "model"
            raise TypeError(f"{lacking}: missing: give it to the client or to the call")
        return about

    def _put(self, held: Held) -> None:
        if not held.rows:
            return
        engine = self._engine or self._started()
        if engine is None:
            self._tally.add("dropped", held.rows, CLOSED)
        elif not engine.intake.put(held):
            self._tally.add("dropped", held.rows, CLOSED if self._closed else NO_ROOM)

    def _started(self) -> Engine | None:
        with self._lock:
            if self._engine is None and not self._closed:
                limits = self._limits
                spill = Spill(self._spill, limits.spill_bytes, limits.segment_bytes) if self._spill else None
                self._engine = Engine(self._connect(), spill, limits, self._tally)
            return self._engine

    def _forked(self) -> None:
        """In a child: threads, connections and rows that wait are the parent's, which sends them."""
        if self._engine is not None:
            self._engine.abandon()
            _ABANDONED.append(self._engine)
        self._begin()


def _clear(tokens: Mapping[Role, str] | None) -> Mapping[Role, SecretStr]:
    """Give the tokens that are shown. Raises `ValueError` for one that cannot stand in a header."""
    if tokens is None:
        return from_environment(os.environ)
    if wrong := [role for role, token in tokens.items() if not (token.isascii() and token.isprintable())]:
        raise ValueError(f"tokens: {', '.join(wrong)}: not printable ASCII: give what `everloop tokens` made")
    return {role: SecretStr(token) for role, token in tokens.items()}


def _transport(target: str, tokens: Mapping[Role, SecretStr], timeout_s: float) -> Callable[[], Transport]:
    """Say how to connect. Raises `ValueError`: the address names rule and fix, and is not shown."""
    is_http = target.startswith(("http://", "https://"))
    try:
        address: str = TypeAdapter(HttpUrl if is_http else Broker).validate_python(target)
    except ValidationError as error:
        rule = error.errors(include_input=False)[0]["msg"]
        raise ValueError(f"target: {rule}: give http://HOST:PORT of the front door, or HOST:PORT of Kafka") from None
    if is_http:
        return lambda: HttpTransport(address, tokens, timeout_s)
    return lambda: _kafka(address, timeout_s)


def _kafka(address: str, timeout_s: float) -> Transport:
    from everloop.client.over_kafka import KafkaTransport  # noqa: PLC0415 -- who sends over HTTP loads no Kafka

    return KafkaTransport(address, timeout_s)


def _watch_forks() -> None:
    """Ask once, with the first client: importing registers nothing."""
    if not _WATCHED:
        _WATCHED.append(True)
        os.register_at_fork(after_in_child=_after_fork)


_WATCHED: Final[list[bool]] = []


def _after_fork() -> None:
    for client in list(_CLIENTS):
        client._forked()  # noqa: SLF001 -- its own module
