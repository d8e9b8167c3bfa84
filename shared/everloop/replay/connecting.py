"""From a running stack to a client that replays on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from everloop.events import Event
from everloop.groups import expected
from everloop.replay.door import HttpDoor
from everloop.replay.lockstep import Client
from everloop.replay.offsets import KafkaOffsets
from everloop.replay.quiescence import Patience, Quiescence
from everloop.replay.watching import Journals, Predictions, Said
from everloop.runtime.kafka_log import KafkaLog
from everloop.tokens import read_clear


@contextmanager
def connected(
    broker: str,
    urls: Mapping[str, str],
    processes: Iterable[str],
    hear: Callable[[Event], None] = lambda _: None,
    see: Callable[[Said], None] = lambda _: None,
    *,
    tokens: Path | None = None,
) -> Iterator[Client]:
    """A client of the stack whose `processes` run; `hear` is told of journal events, `see` of prediction records.

    `tokens` is the file of clear tokens of a stack that asks for them.
    """
    log = KafkaLog(broker, client_id="everloop.replay")
    shown = read_clear(tokens) if tokens else {}
    offsets, door = KafkaOffsets(broker), HttpDoor(urls["serving"], urls["ingest"], tokens=shown)
    journals, predictions, patience = Journals(log, hear), Predictions(log, see), Patience()
    quiescence = Quiescence(log, offsets, expected(processes), journals, patience)
    try:
        yield Client(log, door, journals, predictions, quiescence, patience)
    finally:
        door.close()
        offsets.close()
        journals.follower.close()
        predictions.follower.close()
        log.close()
