"""A crash at every point of the run: before and after every publish, acknowledgement and commit of every process.

A run crashes at as many points as it meets, restarts included; what it did not meet, because what came before it went
another way, is left to the next. The first point that is left is always met: up to it the run goes as without faults.
"""

from __future__ import annotations

from collections.abc import Collection

import pytest

from tests.simulation.books import archived_twice, lost, unbalanced, unread
from tests.simulation.faults import Crashes, Name, named
from tests.simulation.stack import Stack
from tests.simulation.test_replicas import repeated

pytestmark = pytest.mark.long

SHARDS = 4
APART = 8
"""Points between two crashes of a run, so that a job is not started too often."""


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_crash_at_any_point_changes_no_decision(undisturbed: Stack, shard: int) -> None:
    todo = set(named(undisturbed.simulation.points)[shard::SHARDS])

    runs = 0
    while todo:
        left, runs = len(todo), runs + 1
        survive(undisturbed, todo, f"shard {shard}, run {runs}, {left} points to go")
        assert len(todo) < left, "a fault that was asked for never came"


def test_the_points_are_all_there_is(undisturbed: Stack) -> None:
    points = undisturbed.simulation.points

    names = named(points)
    assert len(set(names)) == len(points), "a point that is not known again cannot be aimed at"
    assert {name.process.removesuffix("-0") for name in names} == {
        "route", "join", "archive", "windows", "merge", "judge", "trainer", "gatekeeper", "rollout", "serving",
    }  # fmt: skip
    moments = {(name.effect, name.moment) for name in names}
    assert moments == {
        ("publish", "before"), ("publish", "after"), ("acknowledge", "after"), ("commit", "before"), ("commit", "after")
    }  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("shard", range(64))
def test_one_crash_per_run_at_every_point(undisturbed: Stack, shard: int) -> None:
    for name in named(undisturbed.simulation.points)[shard::64]:
        todo = {name}
        survive(undisturbed, todo, str(name))
        assert not todo, f"never came: {name}"


def survive(undisturbed: Stack, todo: set[Name], told: str) -> None:
    """One run with crashes at points of `todo`, which are struck off."""
    asked: Collection[Name] = set(todo)
    stack = Stack(faults=Crashes(todo, APART)).run()

    assert len(stack.simulation.crashes) == len(asked) - len(todo), told
    assert stack.decisions() == undisturbed.decisions(), told
    assert stack.shown == undisturbed.shown, told
    assert not repeated(stack), told
    assert not unbalanced(stack.simulation), told
    assert not lost(stack.simulation), told
    assert not archived_twice(stack.simulation), told
    assert not unread(stack.simulation, replicas=1), told
