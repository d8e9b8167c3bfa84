"""Two replicas of every service, killed, rebalanced and stalled at random points: the same decisions, once each."""

from __future__ import annotations

import pytest

from everloop.events import Event
from tests.simulation.books import lost, unbalanced, unread
from tests.simulation.faults import Chaos
from tests.simulation.stack import JOURNALS, Stack

pytestmark = pytest.mark.long

SEEDS = 10
SOAK = 1_000


@pytest.mark.parametrize("seed", range(SEEDS))
def test_replicas_that_die_and_stall_decide_the_same_once(undisturbed: Stack, seed: int) -> None:
    survive(undisturbed, seed)


@pytest.mark.soak
def test_a_thousand_seeds(undisturbed: Stack) -> None:
    for seed in range(SEEDS, SEEDS + SOAK):
        survive(undisturbed, seed)


def test_a_writer_that_was_left_for_dead_adds_nothing(undisturbed: Stack) -> None:
    chaos = Chaos(seed=1, crashes=0, stalls=0, before_decisions=1)

    stack = Stack(replicas=2, faults=chaos, seed=1).run()

    valid = sum(len(stack.journal(topic)) for topic in JOURNALS)
    written = sum(len(stack.records(topic)) for topic in JOURNALS)
    assert len({point.about for point in chaos.stalled}) >= valid / 3, "many decisions met a second writer"
    assert written > valid, "the second writers did write"
    assert stack.decisions() == undisturbed.decisions()


def test_a_replica_beside_another_changes_nothing(undisturbed: Stack) -> None:
    assert Stack(replicas=3, seed=9).run().decisions() == undisturbed.decisions()


def survive(undisturbed: Stack, seed: int) -> None:
    chaos = Chaos(seed)
    stack = Stack(replicas=2, faults=chaos, seed=seed).run()

    told = f"seed {seed}: {len(stack.simulation.crashes)} crashes, {len(chaos.stalled)} stalls"
    assert stack.simulation.crashes, told
    assert chaos.stalled, told
    assert stack.decisions() == undisturbed.decisions(), told
    assert not repeated(stack), told
    assert not unbalanced(stack.simulation), told
    assert not lost(stack.simulation), told
    assert not unread(stack.simulation, replicas=2), told


def repeated(stack: Stack) -> list[Event]:
    """Decisions that stand in a journal twice, or answer a cause that another one has answered."""
    said = [event for topic in JOURNALS for event in stack.journal(topic)]
    ids, causes = set(), set()
    found = []
    for event in said:
        cause = (type(event), event.causation_id)
        if event.id in ids or cause in causes:
            found.append(event)
        ids.add(event.id)
        causes.add(cause)
    return found
