"""Batches go out one after the other: sent, refused for good, or tried again until they arrive."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from everloop.client.backlog import Backlog
from everloop.client.batches import Batch
from everloop.client.tally import Tally

FIRST_S: Final = 0.25
LAST_S: Final = 30.0
LONGEST_S: Final = 300.0
"""No `Retry-After` is obeyed for longer at once."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The other side has it; `refused` of its rows are not accepted, for this reason."""

    refused: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never be accepted. The reason is a rule, and no value."""

    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """Whether it arrived is unknown, or there is no room now: again, not before `after_s` where that is said."""

    reason: str
    after_s: float | None = None


Answer = Accepted | Refused | Later


class Transport(Protocol):
    """Takes batches to the other side. Used by one thread."""

    def send(self, batch: Batch) -> Answer:
        """Send, and wait for the acknowledgement. Trouble of any kind is an answer, not an error."""

    def close(self) -> None:
        """Let go of the connection."""


def delay(failures: int, after_s: float | None, chance: float) -> float:
    """Seconds to wait after so many failures in a row (from 1): doubling, with jitter, never less than was asked for.

    `chance` in [0, 1) takes off up to a half, so that many clients do not come back together ("equal jitter", Brooker,
    Exponential Backoff and Jitter, 2015).
    """
    wait = min(LAST_S, FIRST_S * 2.0 ** min(failures - 1, 16)) * (1 - chance / 2)
    return wait if after_s is None else max(wait, min(after_s, LONGEST_S))


def send_all(backlog: Backlog, transport: Transport, tally: Tally, chance: Callable[[], float] = random.random) -> None:
    """Send until the backlog has ended. One that must wait holds back those behind it: their order stays."""
    failures = 0
    while (batch := backlog.first()) is not None:
        match _answer(transport, batch):
            case Accepted(refused, reason):
                backlog.done()
                tally.add("sent", batch.rows - refused)
                tally.add("refused", refused, reason)
                failures = 0
            case Refused(reason):
                backlog.done()
                tally.add("refused", batch.rows, reason)
                failures = 0
            case Later(reason, after_s):
                failures += 1
                backlog.keep()
                tally.say("waiting", reason)
                if not backlog.pause(delay(failures, after_s, chance())):
                    break
    with suppress(Exception):
        transport.close()


def _answer(transport: Transport, batch: Batch) -> Answer:
    """Whatever a transport raises, the thread goes on."""
    try:
        return transport.send(batch)
    except Exception as error:  # noqa: BLE001 -- code of others runs in here
        return Later(f"cannot send: {type(error).__name__}")
