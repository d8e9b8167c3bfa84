"""A model server that logs: `python -m benchmarks.ingest.host URL FOLDER PACED_S PAIRS` prints what that cost, as JSON.

First 1,000 requests a second, each with a little work and one call of `log_predictions`, whose time is taken. Then
blocks of requests as fast as they can be done, in turns with and without the call: what of the rate is lost.
"""

from __future__ import annotations

import sys
import time
from array import array
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final

import orjson
import psutil

from everloop.client import Client

RATE: Final = 1_000
WARM_SHARE: Final = 0.2
BLOCK: Final = 2_000
"""Requests of a block: about two seconds of work, so that the rate is the same as before."""
REST_S: Final = 0.3
"""After a block with calls, until the client has nothing more to do."""
NUMBERS: Final = {f"n{place}": place * 1.25 for place in range(15)}
TEXTS: Final = {f"t{place}": f"text-{place}" for place in range(5)}
PACED_WORK: Final = 3_000
STEPS_PER_LOOK: Final = 100_000
LOOKS: Final = 5
MIB: Final = 1 << 20


def work(steps: int) -> float:
    """What a model would do: hold the interpreter's lock."""
    found = 0.0
    for step in range(steps):
        found += step * 0.5
    return found


def paced(client: Client, seconds: float) -> dict[str, float]:
    """Time in the call (ms) and memory (MiB) at 1,000 requests a second."""
    me, calls = psutil.Process(), round(seconds * RATE)
    took = array("q")
    begin, warm_rss = time.perf_counter(), 0
    cpu = time.process_time()
    for number in range(calls):
        pause = begin + number / RATE - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
        work(PACED_WORK)
        row = {**NUMBERS, **TEXTS, "n0": number * 0.5}
        before = time.perf_counter_ns()
        client.log_predictions(row, 0.25, entity_id="card-7")
        took.append(time.perf_counter_ns() - before)
        if number == round(calls * WARM_SHARE):
            warm_rss = me.memory_info().rss
    ordered = sorted(took)
    return {
        "p50_ms": ordered[calls // 2] / 1e6,
        "p99_ms": ordered[calls * 99 // 100] / 1e6,
        "max_ms": ordered[-1] / 1e6,
        "rate": calls / (time.perf_counter() - begin),
        "cpu_s": time.process_time() - cpu,
        "grown_mb": (me.memory_info().rss - warm_rss) / MIB,
        "rss_mb": me.memory_info().rss / MIB,
    }


def lost(client: Client, pairs: int) -> float:
    """Percent of the host's requests per CPU-second that calls and threads cost; the median over pairs of blocks."""
    steps = _steps()
    found = []
    for number in range(pairs):
        turns = (client, None) if number % 2 else (None, client)
        rates = {who is client: _block(steps, who) for who in turns}
        found.append(100 * (1 - rates[True] / rates[False]))
    return median(found)


def _steps() -> int:
    """Steps of work that take a millisecond of CPU here."""
    looks = []
    for _ in range(LOOKS):
        before = time.process_time()
        work(STEPS_PER_LOOK)
        looks.append(time.process_time() - before)
    return round(STEPS_PER_LOOK / min(looks) / RATE)


def _block(steps: int, client: Client | None) -> float:
    """Requests per CPU-second of this process, all its threads; what is done in the rest counts."""
    begin = time.process_time()
    for number in range(BLOCK):
        work(steps)
        row = {**NUMBERS, **TEXTS, "n0": number * 0.5}
        if client is not None:
            client.log_predictions(row, 0.25, entity_id="card-7")
    time.sleep(REST_S)
    return BLOCK / (time.process_time() - begin)


def main(url: str, folder: Path, paced_s: float, pairs: int) -> None:
    """Measure, print."""
    client = Client(url, model="bench", version="1", spill=folder, tokens={})
    found = paced(client, paced_s)
    found["lost_percent"] = lost(client, pairs)
    found |= {name: float(value) for name, value in asdict(client.stats()).items()}
    client.close()
    print(orjson.dumps(found).decode())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
