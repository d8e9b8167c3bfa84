"""Streams whose world moves by itself, with successors that learn from it: nothing in them is broken."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from everloop import events as e
from everloop.faults import Batch
from everloop.loop import Loop
from everloop.profile import build_profile
from everloop.sketch.layout import Layout
from everloop_drift.domain import judging
from examples.fraud import stream
from tests.builders import a_loop
from tests.unit.drift.diagnosed import NOW, World, joined, scores

HALF_HOURS: Final = 336
ALIVE_AT: Final = 52
"""The week from which on the neighbour's market is in the data."""


def market(seed: int, weeks: int) -> list[Batch]:
    """Weeks of a market, after that of New South Wales: prices with spikes, a date, a calendar, columns that are dead.

    Prices wander and their spikes come in clusters; three columns are constant until the neighbour joins.
    """
    chance = np.random.default_rng(seed)
    level, demand, restless, found = 0.06, 0.45, 0.0, []
    place = np.arange(HALF_HOURS)
    for week in range(weeks):
        level = float(np.clip(level * np.exp(chance.normal(0, 0.25)), 0.02, 0.3))
        restless, demand = 0.7 * restless + chance.normal(0, 0.5), demand + chance.normal(0, 0.03)
        period = (place % 48) / 47
        price = level * (1 + 0.4 * np.sin(period * 2 * np.pi))
        price *= np.exp(chance.normal(0, 0.3 * np.exp(restless), HALF_HOURS))
        wanted = demand + 0.15 * np.sin(period * 2 * np.pi - 1) + chance.normal(0, 0.03, HALF_HOURS)
        columns = {
            "date": (week * HALF_HOURS + place) / (weeks * HALF_HOURS), "day": 1.0 + place // 48, "period": period,
            "price": price, "demand": wanted, **_neighbour(chance, price, wanted, alive=week >= ALIVE_AT),
        }  # fmt: skip
        found.append(Batch(columns, np.zeros(HALF_HOURS)))
    return found


def _neighbour(
    chance: np.random.Generator, price: NDArray[np.float64], wanted: NDArray[np.float64], *, alive: bool
) -> dict[str, NDArray[Any]]:
    if not alive:
        return {name: np.full(HALF_HOURS, value) for name, value in (("far", 0.0035), ("near", 0.42), ("flow", 0.41))}
    return {
        "far": price * 0.05 * chance.lognormal(0, 0.4, HALF_HOURS),
        "near": wanted * 0.9 + chance.normal(0, 0.05, HALF_HOURS),
        "flow": chance.beta(5, 5, HALF_HOURS) * 0.8,
    }


def payments(seed: int) -> list[Batch]:
    """The stream of `make demo`, shortened, after its history: columns come alive, categories appear."""
    scenario = stream.Scenario(seed=seed, covariate_at=4, concept_at=5, windows=16, rows_per_window=800)
    windows = [stream.rows(scenario, number) for number in range(-scenario.history_windows, scenario.windows)]
    return [Batch({name: _array(one) for name, one in rows.columns.items()}, np.zeros(len(rows.labels)))
            for rows in windows]  # fmt: skip


def _array(values: list[Any]) -> NDArray[Any]:
    return np.array(values, dtype=object if isinstance(values[0], str) else np.float64)


def judged(batches: list[Batch], history: int, learnt: int, patience: int, **parts: object) -> list[e.WindowJudged]:
    """All windows after `history`, with a successor after so many drifted ones, that learns from the last `learnt`."""
    loop, state, drifted, version = a_loop(**parts), judging.initial(), 0, 1
    world, said = _learnt(batches[:history]), []
    for number, batch in enumerate(batches[history:]):
        window = _of_version(world.window("inputs", number, batch), str(version))
        one = _judge(state, window, loop)
        state, drifted = judging.evolve(state, one), drifted + (one.verdict == "drifted")
        said.append(one)
        if drifted >= patience:
            upto = history + number + 1
            world, version, drifted = _learnt(batches[upto - learnt : upto]), version + 1, 0
    return said


def _judge(state: judging.State, window: e.WindowClosed, loop: Loop) -> e.WindowJudged:
    said = judging.decide(state, window, NOW, loop, None)
    assert isinstance(said, e.WindowJudged)
    return said


def _learnt(batches: list[Batch]) -> World:
    whole = joined(batches)
    columns = {name: v if v.dtype.kind == "f" else v.tolist() for name, v in whole.columns.items()}
    profile = build_profile(columns, scores=scores(whole.columns, len(whole.labels)))
    return World(batches, profile, Layout.of(profile), seasonal=False)


def _of_version(window: e.WindowClosed, version: str) -> e.WindowClosed:
    return window.model_copy(update={"arms": tuple(arm.model_copy(update={"version": version}) for arm in window.arms)})
