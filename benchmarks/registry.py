"""Every benchmark: one literal row each, by area. What it does is in the package of its area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.bus import decode, dispatch, journal
from benchmarks.figures import Benchmark
from benchmarks.loop import overhead
from benchmarks.stack import up
from everloop.errors import UsageError

BENCHMARKS: Final[tuple[Benchmark, ...]] = (
    Benchmark(
        "bus.dispatch", "records/CPU-s", "more",
        "single-row JSON records of 20 columns off Kafka through the dispatch rule of data services: read as rows, "
        "folded, state published and acknowledged, offsets committed",
        dispatch.measure,
        peer_name="a bare aiokafka loop",
        note="The peer reads the same records with the same client library, parses them with orjson, and publishes and "
        "commits as ours does. It checks no contract, and Faust's tasks per record are not in it.",
    ),
    Benchmark(
        "bus.decode", "records/CPU-s", "more",
        "the same records read as rows, from memory: what no carrier of single records can be faster than",
        decode.measure,
        peer_name="orjson alone",
        note="The peer parses the value and knows nothing of it. Ours also reads the envelope from the headers, and "
        "checks every name, type and length.",
    ),
    Benchmark(
        "bus.journal", "decisions/CPU-s", "more",
        "decisions of one control service, the judge of drift on empty windows of 40 models: decided, published, "
        "acknowledged, read back as valid, committed",
        journal.measure,
        peer_name="a bare kafka-python loop",
        note="The peer decodes, writes, waits for the acknowledgement and commits, record by record. It reads nothing "
        "back: after a crash, or beside a second replica, it says decisions twice.",
    ),
    Benchmark(
        "stack.up", "s", "less",
        "`everloop up` in a fresh directory until all processes are ready, with Kafka's jars fetched before",
        up.measure,
        peer_name="mlflow server alone",
        note="MLflow is one of the processes that are waited for: the peer is a part of ours, and a ratio of 1 the "
        "best there can be. Both begin with an empty database.",
    ),
    Benchmark(
        "loop.overhead", "s", "less",
        "from an episode of drift in the log to the version that answers it, less the seconds of the training job, on "
        "the whole stack with a tick per second",
        overhead.measure,
        peer_name="the same job by hand",
        note="The peer runs the job of the turn once more as one process: its seconds beyond the job are those of "
        "starting Python and scikit-learn, and they are in ours as well.",
    ),
)  # fmt: skip


def select(names: Sequence[str], benchmarks: Sequence[Benchmark] = BENCHMARKS) -> list[Benchmark]:
    """Those of the named areas and names, in the order of the table; all without a name. Raises `UsageError`."""
    known = {name for one in benchmarks for name in (one.area, one.name)}
    for name in names:
        if name not in known:
            raise UsageError(f"no benchmark or area is called {name!r}: there is {', '.join(sorted(known))}")
    return [one for one in benchmarks if not names or {one.area, one.name} & set(names)]
