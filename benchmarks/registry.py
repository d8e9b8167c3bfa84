"""Every benchmark: one literal row each, by area. What it does is in the package of its area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.bus import decode, dispatch, journal
from benchmarks.drift import memory, models, scale, verdict
from benchmarks.drift.carried import Carried
from benchmarks.figures import Benchmark
from benchmarks.ingest import archive, http, join_memory, sdk, snapshot
from benchmarks.loop import overhead
from benchmarks.stack import up
from everloop.errors import UsageError

DECODES: Final = (
    "The peer decodes the same records, commits once a second, counts nothing and publishes nothing: no worker that "
    "reads rows can be faster."
)

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
        "drift.json", "rows/CPU-s", "more",
        "records of columns in JSON, 100 rows of 20 columns each, off Kafka to windows: read, checked, counted by all "
        "default sketches, state published and acknowledged, offsets committed",
        Carried("json", 100, 12_000_000, "loop_peer", 12_000_000),
        peer_name="orjson and aiokafka",
        note=DECODES,
    ),
    Benchmark(
        "drift.json_1000", "rows/CPU-s", "more",
        "the same in records of 1,000 rows",
        Carried("json", 1_000, 16_000_000, "loop_peer", 16_000_000),
        peer_name="orjson and aiokafka",
        note=DECODES,
    ),
    Benchmark(
        "drift.arrow", "rows/CPU-s", "more",
        "the same in Arrow streams of 1,000 rows",
        Carried("arrow", 1_000, 40_000_000, "loop_peer", 40_000_000),
        peer_name="pyarrow and aiokafka",
        note=DECODES,
    ),
    Benchmark(
        "drift.single", "rows/CPU-s", "more",
        "the same in plain JSON objects of one row",
        Carried("plain", 1, 1_600_000, "faust_peer", 80_000),
        peer_name="a plain Faust agent",
        note="The peer decodes each record with orjson and does nothing else. Both are Faust; ours takes records in "
        "batches.",
    ),
    Benchmark(
        "drift.verdict", "ms of CPU", "less",
        "20 columns x 10,000 rows in memory, as Arrow gives them, to the verdict with all default measures",
        verdict.measure,
        peer_name="an Evidently preset report",
        note="The peer has both DataFrames and the definition of their columns ready, and does not render. Ours has "
        "the reference as a profile.",
    ),
    Benchmark(
        "drift.memory", "MiB", "less",
        "resident memory at the most of a worker that holds 1,000 models x 3 open windows x 20 columns, from its start "
        "until all is published; each model in one of 4 partitions",
        memory.measure,
        note="Where producers have no key, each model is in all partitions, and a worker that holds all of them holds "
        "four cells for each window: that is beside it.",
    ),
    Benchmark(
        "drift.models", "times", "less",
        "CPU per row with 1,000 models over that with one, the same rows per second of event time",
        models.measure,
    ),
    Benchmark(
        "drift.scale", "times", "more",
        "rows per second on the wall of two workers over those of one, beside the broker on the same cores",
        scale.measure,
    ),
    Benchmark(
        "ingest.http_single", "requests/CPU-s", "more",
        "requests of one row of 20 columns to the front door, answered when a real Kafka has acknowledged them, 48 "
        "connections at once: CPU of the door's process",
        http.single,
        peer_name="the same app answering 202",
        note="The peer is the app that every service has, with its limits and metrics, on the same server; its route "
        "reads no body and does nothing.",
    ),
    Benchmark(
        "ingest.http_batch", "rows/CPU-s", "more",
        "the same in JSON columns of 500 rows, each with its result in the answer",
        http.batch,
    ),
    Benchmark(
        "ingest.archive", "rows/CPU-s", "more",
        "Arrow records of 1,000 rows of 20 columns off Kafka, and then a label for each: routed, archived and joined, "
        "outcomes archived, all of it acknowledged and committed: CPU of the worker's process",
        archive.measure,
        note="A row and its label, one after the other; *also* says what rows alone come to.",
    ),
    Benchmark(
        "ingest.join_memory", "MiB", "less",
        "resident memory at the most of a worker that remembers ten million open predictions, half of which get their "
        "label",
        join_memory.measure,
    ),
    Benchmark(
        "ingest.sdk", "ms", "less",
        "the time inside `log_predictions` at p99: rows of 20 features, 1,000 calls a second for 60 s, by a server "
        "that does some work for each; the worst of three states of the front door: up, slow (a second per answer), "
        "gone",
        sdk.measure,
        note="What of the host's requests per CPU-second is lost is measured at a millisecond of work per request, in "
        "turns with and without the calls. Memory grown is resident memory from the first fifth of the 60 s to their "
        "end.",
    ),
    Benchmark(
        "ingest.snapshot", "s of CPU", "less",
        "the training matrix on disk, with its digest: the newest 500,000 of 5 million archived rows of 20 features, "
        "labels as known at a moment, corrections applied",
        snapshot.measure,
        peer_name="pandas",
        note="The peer reads all files and filters, sorts, drops duplicates and merges; both end in the same rows, "
        "which is checked. Ours reads the files that its manifests point to, and verifies their digests.",
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
