"""`bus.decode`: the reader of rows alone, without a broker: what no carrier of single records can be faster than."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import orjson

from benchmarks.bus.dispatch import DIFFERENT, messages
from benchmarks.figures import Measured, Say, Size
from benchmarks.repeats import repeats
from everloop.rows import read_rows
from everloop.runtime.log import Message

WARM: Final = 1


def measure(size: Size, say: Say) -> Measured:
    """Records per CPU-second of this process, read as services read them and parsed alone."""
    load, rounds = list(messages(DIFFERENT)), size.of(50, 2)

    def once(_: int) -> tuple[float, float]:
        return _rate(_read, load, rounds), _rate(_parsed, load, rounds)

    runs = repeats(size.of(5, 1), once, say)
    return Measured(ours=tuple(ours for ours, _ in runs), peer=tuple(peer for _, peer in runs))


def _rate(do: Callable[[Sequence[Message]], None], load: Sequence[Message], rounds: int) -> float:
    for _ in range(WARM):
        do(load)
    began = time.process_time()
    for _ in range(rounds):
        do(load)
    return rounds * len(load) / (time.process_time() - began)


def _read(load: Sequence[Message]) -> None:
    for one in load:
        read_rows(one.value, one.headers)


def _parsed(load: Sequence[Message]) -> None:
    for one in load:
        orjson.loads(one.value or b"")
