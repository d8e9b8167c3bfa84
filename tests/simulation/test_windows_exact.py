"""Windows are exact: equal to a batch recomputation, to the unit, and the same bytes whatever happened on the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from pydantic import JsonValue

from everloop import topics
from everloop.codec import decode
from everloop.events import ArmWindow, BooksKept, WindowClosed
from everloop.runtime.data import DataService
from everloop.runtime.log import Record
from everloop.runtime.memory import MemoryClient
from everloop.simulation import Build, Simulation
from everloop.sketch import Labelled
from everloop_drift.adapters import MergeFold, WindowsFold
from everloop_drift.adapters.state import newest
from tests.simulation.faults import Chaos
from tests.simulation.window_stream import (
    GRACE,
    HORIZON,
    HOUR,
    MOST,
    PROFILE,
    START,
    Stream,
    arms,
    bucket_sums,
    column_counts,
    score_counts,
    table,
)

pytestmark = pytest.mark.long

TUMBLING: Mapping[str, JsonValue] = {}
REVISED: Mapping[str, JsonValue] = {"revise": "2h"}
SLIDING: Mapping[str, JsonValue] = {"size": "3h"}
BY_ROWS: Mapping[str, JsonValue] = {"rows": 25}
NEWEST: Mapping[str, JsonValue] = {"rows": 25, "sliding": True, "revise": "1h"}
RULES = {"tumbling": TUMBLING, "revised": REVISED, "sliding": SLIDING, "by-rows": BY_ROWS, "newest": NEWEST}
SEEDS = 6
WINDOWS = topics.WINDOWS.name


def builds(replicas: int, limit: int) -> dict[str, Build]:
    """Both rooms; each flushes after `limit` records."""

    def windows(replica: int) -> Build:
        return lambda log: DataService(
            WindowsFold(lambda: START, replica=str(replica)), log, replica=str(replica), limit=limit
        )

    def merge(replica: int) -> Build:
        return lambda log: DataService(
            MergeFold(lambda: START, replica=str(replica)), log, replica=str(replica), limit=limit
        )

    found = {f"windows-{n}": windows(n) for n in range(replicas)}
    return found | {f"merge-{n}": merge(n) for n in range(replicas)}


def play(stream: Stream, *, replicas: int = 1, limit: int = 500, chaos: int | None = None, step: int = 7) -> Simulation:
    """Send the stream in stretches, each of which is taken before the next."""
    simulation = Simulation(builds(replicas, limit), seed=stream.seed)
    faults = Chaos(chaos, crashes=0.02, stalls=0.01) if chaos is not None else None
    if faults is not None:
        simulation.crash = lambda point: faults(simulation, point)
    client = simulation.client()
    for start in range(0, len(stream.messages), step):
        stream.publish(client, start, start + step)
        if chaos is not None and start % (5 * step) == 0:
            simulation.broker.compact(topics.PARTIALS.name)
        simulation.settle()
    if faults is not None:
        assert simulation.crashes, "a fault that never came proves nothing"
        assert faults.stalled
    return simulation


def written(simulation: Simulation) -> dict[tuple[str, int], list[bytes]]:
    """The records on `windows` by model and place in its order, repeats left out, `recordedtime` aside."""
    found: dict[tuple[str, int], list[bytes]] = {}
    seen: set[bytes] = set()
    for place, records in sorted(simulation.broker.records.items()):
        for record in records if place.topic == WINDOWS else ():
            raw = said(record)
            if raw not in seen:
                seen.add(raw)
                found.setdefault((str(record.key), place.partition), []).append(raw)
    return found


def said(record: Record) -> bytes:
    headers = b"\n".join(name.encode() + b"=" + raw for name, raw in record.headers if name != "ce_recordedtime")
    return headers + b"\n" + (record.value or b"")


def windows(simulation: Simulation) -> list[WindowClosed]:
    """Every window once, in the order of the log."""
    logged = (records for place, records in sorted(simulation.broker.records.items()) if place.topic == WINDOWS)
    once = {record.value: record for records in logged for record in reversed(records)}
    found = [decode(record.value, record.headers) for record in reversed(once.values())]
    return [event for event in found if isinstance(event, WindowClosed)]


def books(simulation: Simulation) -> dict[str, int]:
    """Furthest books of `predictions`, added up."""
    best: dict[int, BooksKept] = {}
    for key, record in newest(MemoryClient(simulation.broker, lambda *_: None)).items():
        event = decode(record.value, record.headers) if key.startswith(b"books|") else None
        if isinstance(event, BooksKept) and event.topic == topics.PREDICTIONS.name:
            known = best.get(event.partition)
            best[event.partition] = event if known is None or event.offset > known.offset else known
    names = ("counted", "late", "duplicate", "quarantined")
    return {name: sum(getattr(one, name) for one in best.values()) for name in names}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("seed", range(2))
def test_windows_are_those_of_a_batch_recomputation(rules: Mapping[str, JsonValue], seed: int) -> None:
    stream = Stream(seed, rules)
    found = windows(play(stream))
    revise = {"2h": 2 * HOUR, "1h": HOUR}.get(str(rules.get("revise")), 0)
    inputs, outcomes = table(stream.inputs, GRACE, revise), table(stream.outcomes, HORIZON, revise)
    assert {"counted", "late"} <= set(inputs["fate"]), "a stream without late rows proves little"
    compared = with_segments = corrected = 0
    for window in found:
        rows = inputs if window.kind == "inputs" else outcomes
        kept = rows["fate"].isin(["counted", "revised"] if window.revision else ["counted"])
        part = rows[kept & (rows["model"] == window.model) & (rows["end"] > window.start) & (rows["end"] <= window.end)]
        if window.kind == "outcomes":
            corrected += int(part["entity"].duplicated().sum())
            part = part.drop_duplicates("entity", keep="last")
        compared += compare(window, part)
        if window.kind == "outcomes":
            before = inputs[(inputs["fate"] == "counted") & (inputs["model"] == window.model)]
            before = before[(before["end"] > window.start) & (before["end"] <= window.end)]
            with_segments += sum(compare_labels(arm, part, before, window.revision) for arm in window.arms)
    assert compared > 20
    assert with_segments > 5
    assert corrected > 5
    assert_covered(found, inputs)


def assert_covered(found: list[WindowClosed], inputs: pd.DataFrame) -> None:
    """Each slice with rows that is long over is in a window."""
    for model, rows in inputs[(inputs["fate"] == "counted")].groupby("model"):
        spans = [(one.start, one.end) for one in found if one.model == model and one.kind == "inputs"]
        last = max(end for _, end in spans)
        for end in rows["end"].unique():
            first = rows["end"].min()
            assert any(start < end <= stop for start, stop in spans) or end > last or end < first + 2 * HOUR


def compare(window: WindowClosed, part: pd.DataFrame) -> int:
    expected = {(arm, version): (rows, score) for arm, version, rows, score in arms(part)}
    assert [(arm.arm, arm.version) for arm in window.arms] == sorted(expected), (window.kind, window.start)
    for arm in window.arms:
        rows, score = expected[arm.arm, arm.version]
        assert arm.rows == len(rows)
        if window.kind == "inputs":
            compare_inputs(arm, rows, score)
        else:
            compare_outcomes(arm, rows, score)
    return len(window.arms)


def compare_inputs(arm: ArmWindow, rows: pd.DataFrame, score: str) -> None:
    plain = rows[rows["plain"]]
    assert bool(arm.columns) == (len(plain) > 0 and arm.arm != "shadow")
    if arm.arm != "shadow":
        assert sum(split.rows for split in arm.splits) == len(rows) - len(plain)
    for column in arm.columns:
        values = column_counts(plain[column.name], column.kind)
        assert list(column.current.counts) == values["counts"], column.name
        assert (column.current.missing, column.current.malformed) == (values["missing"], values["malformed"])
    assert arm.score is not None
    assert list(arm.score.current.counts) == score_counts(rows[score])
    compare_segments(arm, plain if arm.arm == "champion" else plain[:0])


def compare_segments(arm: ArmWindow, plain: pd.DataFrame) -> None:
    """By value of w; each row of the champion is in one of them."""
    named = PROFILE.segments[0].values  # noqa: PD011 -- no frame of pandas
    assert len(named) == MOST
    parts = {name: plain[plain["w"] == name] for name in named} | {None: plain[~plain["w"].isin(named)]}
    assert [one.value for one in arm.segments] == [name for name, rows in parts.items() if len(rows)]
    for one in arm.segments:
        rows = parts[one.value]
        assert one.rows == len(rows)
        for column, side in zip(arm.columns, one.columns, strict=True):
            values = column_counts(rows[column.name], column.kind)
            assert list(side.current.counts) == values["counts"]
            assert side.current.missing == values["missing"] + values["malformed"]
        assert list(one.score.current.counts) == score_counts(rows["score"])


def compare_outcomes(arm: ArmWindow, rows: pd.DataFrame, score: str) -> None:
    losses = ((rows["label"].astype(float) - rows[score].astype(float)) ** 2).map(lambda loss: round(loss * 1e6))
    total = sum(int(str(sums[4])) for sums in arm.buckets.values() if isinstance(sums, list))
    assert total <= int(losses.sum())
    seen = Labelled.from_plain(arm.quality or {})
    assert (seen.scores.brier, int(seen.scores.positives.sum())) == (int(losses.sum()), int(rows["label"].sum()))


def compare_labels(arm: ArmWindow, part: pd.DataFrame, before: pd.DataFrame, revision: int) -> int:
    """Labelled rows by value of w, beside those of the window of inputs; how many segments there are."""
    mine, seen = (rows[(rows["arm"] == arm.arm) & (rows["version"] == arm.version)] for rows in (part, before))
    if arm.arm != "champion" or not mine["plain"].all():
        assert arm.outcomes == ()
        return 0
    named = PROFILE.segments[0].values  # noqa: PD011 -- no frame of pandas
    known = not revision and bool(seen["plain"].all()) and bool(len(seen))
    shown = []
    for value in (*named, None):
        labels, rows = (one[~one["w"].isin(named)] if value is None else one[one["w"] == value] for one in (mine, seen))
        shown += (
            [(value, len(labels), len(rows) if known else None, int(labels["label"].sum()), auc(labels))]
            if (len(labels) or (known and len(rows)))
            else []
        )
    assert [
        (one.value, one.rows, one.predicted, one.positives, one.quality and pytest.approx(one.quality.value))
        for one in arm.outcomes
    ] == shown
    return len(shown)


def auc(rows: pd.DataFrame) -> float | None:
    """By every pair, on a grid of 1,000 bins."""
    bins = np.floor(rows["score"].astype(float).to_numpy() * 1000)
    positive = rows["label"].to_numpy() == 1
    yes, no = bins[positive], bins[~positive]
    if min(len(yes), len(no)) < 2:
        return None
    pairs = yes[:, None] - no[None, :]
    return float(((pairs > 0) + (pairs == 0) / 2).mean())


@pytest.mark.parametrize("rules", [TUMBLING, SLIDING], ids=["tumbling", "sliding"])
def test_sums_per_bucket_are_those_of_the_rows_and_count_once(rules: Mapping[str, JsonValue]) -> None:
    stream = Stream(11, rules)
    rows = table(stream.inputs, GRACE, 0)
    sums: dict[tuple[str, str, str], dict[str, list[int]]] = {}
    last: dict[str, int] = {}
    for window in windows(play(stream)):
        last[window.model] = max(window.end, last.get(window.model, 0))
        for arm in window.arms if window.kind == "inputs" else ():
            held = sums.setdefault((window.model, arm.arm, arm.version), {})
            for place, one in arm.buckets.items():
                assert isinstance(one, list)
                counts = [int(str(one[at])) for at in (0, 5, 6)]
                held[place] = [a + b for a, b in zip(held.get(place, [0, 0, 0]), counts, strict=True)]
    closed = rows["end"] <= rows["model"].map(last)
    for model, part in rows[closed & (rows["fate"] == "counted")].groupby("model"):
        for arm_name, version, mine, score in arms(part):
            assert sums[str(model), arm_name, version] == bucket_sums(mine, score)


def test_each_row_has_one_fate_in_the_books() -> None:
    stream = Stream(3, REVISED)
    counts = table(stream.inputs, GRACE, 2 * HOUR)["fate"].value_counts()
    expected = {
        "counted": int(counts["counted"] + counts["revised"]), "late": int(counts["late"]),
        "duplicate": stream.fates["duplicate"], "quarantined": int(counts["quarantined"]) + stream.fates["quarantined"],
    }  # fmt: skip
    assert books(play(stream)) == expected
    assert books(play(stream, replicas=2, limit=3, chaos=3)) == expected


@pytest.mark.parametrize("seed", range(SEEDS))
def test_windows_have_the_same_bytes_through_kills_stalls_rebalances_and_compaction(seed: int) -> None:
    rules = list(RULES.values())[seed % len(RULES)]
    stream = Stream(100 + seed, rules)
    undisturbed = written(play(stream))
    assert sum(map(len, undisturbed.values())) > 5
    assert written(play(stream, replicas=2, limit=1 + seed, chaos=seed)) == undisturbed


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SEEDS, 300))
def test_windows_have_the_same_bytes_whatever_happens(seed: int) -> None:
    test_windows_have_the_same_bytes_through_kills_stalls_rebalances_and_compaction(seed)


@pytest.mark.parametrize(("limit", "step", "replicas"), [(1, 1, 1), (3, 1000, 2), (10_000, 10_000, 4)])
def test_batch_sizes_and_workers_change_no_byte(limit: int, step: int, replicas: int) -> None:
    stream = Stream(42, REVISED)
    assert written(play(stream, limit=limit, step=step, replicas=replicas)) == written(play(stream))


def test_a_replay_from_offset_nought_without_any_state_writes_the_same_bytes() -> None:
    stream = Stream(5, NEWEST)
    simulation = play(stream)
    before = written(simulation)
    for name in simulation.builds:
        simulation.kill(name)
    simulation.broker.offsets.clear()
    for place, records in simulation.broker.records.items():
        if place.topic in {topics.PARTIALS.name, topics.WINDOWS.name}:
            records.clear()
    simulation.settle()
    assert written(simulation) == before


def digest() -> str:
    """Of all windows of one stream."""
    return sha256(repr(sorted(written(play(Stream(8, SLIDING), replicas=2)).items())).encode()).hexdigest()


def test_hash_seeds_change_no_byte() -> None:
    code = "from tests.simulation.test_windows_exact import digest; print(digest())"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."}, check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(seen) == 1
