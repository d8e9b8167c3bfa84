"""`everloop replay` on a real stack: the same file is the same decisions; the real stream is part of `make soak`."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from everloop.cli import build
from everloop.local.state import Stack

HERE = Path(__file__).parent
ELEC2 = Path(os.environ.get("EVERLOOP_ELEC2", HERE.parents[1] / ".." / "shared" / "data" / "elec2.csv"))
HALF_HOUR = timedelta(minutes=30)
START = datetime(1996, 5, 9, tzinfo=UTC)
"""A Thursday: windows of a week are counted from 1 January 1970, which was one."""
WEEK = 336
WARMUP, WEEKS, CHANGE_AT = 3 * WEEK, 9, 2
FEATURES = ("period", "demand", "price", "transfer")
LOOP = """
kind: Loop
version: 1
model: market
task: binary
columns: {id: row, time: time, label: label}
windows: {every: 7d, grace: 0s, min_rows: 200}
labels: {horizon: 0s, delay: 30m}
drift: {confirm: 1}
train:
  on: [quality]
  cooldown: 7d
  fresh_labels: 300
  wait: 21d
  recipe: sklearn.linear_model.LogisticRegression
  data: {rolling: 7d}
gate: {floor: {roc_auc: 0.6}, champion: {roc_auc: {at_least: 90%}}, latency_p95: 10s, deadline: 14d}
rollout: {shadow: 7d, steps: [50%, 100%], hold: 7d, min_rows: 100, deadline: 28d, ttl: 10m, watch: 7d}
"""

pytestmark = [pytest.mark.e2e]


def write_market(path: Path) -> None:
    """A file of the shape of the real one: no ids, half-hours, four numbers; what makes a rise is turned round."""
    rng = np.random.default_rng(20)
    count = WARMUP + WEEKS * WEEK
    values = rng.random((count, len(FEATURES)))
    values[:, 0] = np.arange(count) % 48 / 47
    sign = np.where(np.arange(count) < WARMUP + CHANGE_AT * WEEK, 1.0, -1.0)
    chance = 1 / (1 + np.exp(-8 * sign * (values[:, 1] + values[:, 2] - 1)))
    label = (rng.random(count) < chance).astype(int)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["time", *FEATURES, "label"])
        for row in range(count):
            cells = [f"{value:.6f}" for value in values[row]]
            out.writerow([f"{START + row * HALF_HOUR:%Y-%m-%dT%H:%M:%SZ}", *cells, label[row]])


def replay(stack: Stack, file: Path, loop: Path, *words: str) -> tuple[Mapping[str, object], str]:
    """Run it as a person does; the summary that it wrote, and what it said."""
    done = CliRunner().invoke(build(), ["replay", str(file), "--loop", str(loop), "--var", str(stack.var), *words])
    assert done.exit_code == 0, done.output
    return orjson.loads((stack.var / "replay" / "summary.json").read_bytes()), done.output


def figure(summary: Mapping[str, object], name: str) -> float:
    value = summary[name]
    assert isinstance(value, int | float)
    return value


@pytest.mark.timeout(1200)
@pytest.mark.soak
def test_a_second_replay_decides_the_same(stack: Stack, tmp_path: Path) -> None:
    file, loop, warmup = tmp_path / "market.csv", tmp_path / "loop.yaml", ("--warmup", str(WARMUP))
    write_market(file)
    loop.write_text(LOOP, "utf-8")
    first, _ = replay(stack, file, loop, *warmup)
    decisions = stack.var / "replay" / "decisions.jsonl"
    second, said = replay(stack, file, loop, *warmup, "--against", str(decisions))
    assert (first["model"], second["model"]) == ("market.r1", "market.r2")
    assert {**first, "model": ""} == {**second, "model": ""}
    assert "met again" in said
    assert first["rows"] == WEEKS * WEEK
    assert first["books_balanced"] is True
    assert figure(first, "promotions") >= 1
    assert figure(first, "auc") >= figure(first, "auc_frozen") + 0.08
    assert f"{WEEKS * WEEK} of {WEEKS * WEEK} rows" in said
    assert len(decisions.read_bytes().splitlines()) > 4 * WEEKS


@pytest.mark.soak
def test_the_real_stream_is_served_better_than_by_its_first_champion(stack: Stack) -> None:
    if not ELEC2.is_file():
        pytest.skip(f"the Electricity market stream is not here: put it at {ELEC2}, or name it in EVERLOOP_ELEC2")
    summary, said = replay(stack, ELEC2, HERE / "elec2.yaml", "--warmup", "4800")
    print(said)  # noqa: T201 - the measured figures are what this test is for
    assert figure(summary, "rows") > 40_000
    assert figure(summary, "promotions") >= 3
    assert figure(summary, "auc") >= figure(summary, "auc_frozen") + 0.08
    assert summary["books_balanced"] is True
