"""`kill -9` on the real stack, in the middle of a turn: the loop ends in the same decisions, once each, books balanced.

Each run is a model of its own on one stack. What a run is compared with is a run that nobody disturbed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import pytest

from everloop.demo.books import recount, unbalanced
from everloop.local.state import Stack
from tests.e2e.cycle import JOURNALS, Cycle, decisions, driver, journal
from tests.e2e.faults import Act, Insistent, Plan, Processes

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.kafka,
    # kafka-python leaves a socket behind for each connection that is refused, or cut while it asks for metadata.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FIRST, SECOND = 1, 2
"""The n-th event of its type: the second is of the turn that a drift opened."""
Faults = Callable[[Processes, str], tuple[Mapping[tuple[str, int], Act], Mapping[int, Act]]]


def run(stack: Stack, processes: Processes, model: str, faults: Faults) -> list[str]:
    """Play one turn, hurt as planned; what was decided."""
    on, at = faults(processes, model)
    plan = Plan(model, on, at)
    with driver(stack, plan.hear, Insistent) as client:
        Cycle(model, client, plan.window).play()
        assert not plan.left, "a fault that never happened proves nothing"
        assert not unbalanced(recount(client.log))
        for topic in JOURNALS:
            causes = Counter(event.causation_id for event in journal(client.log, topic, model))
            assert max(causes.values()) == 1, f"{topic.name}: an input was answered twice"
        return decisions(client.log, model)


def nobody(_: Processes, __: str) -> tuple[Mapping[tuple[str, int], Act], Mapping[int, Act]]:
    return {}, {}


def judges_and_windows(processes: Processes, model: str) -> tuple[Mapping[tuple[str, int], Act], Mapping[int, Act]]:
    """Each control service when it has begun something, and drift's windows between the rows of one."""
    holder = partial(partial, processes.kill_holder)
    return {
        ("TurnOpened", SECOND): holder("drift-judge", model),
        ("TrainingStarted", SECOND): holder("trainer", model),
        ("ChecksStarted", SECOND): holder("gatekeeper", model),
        ("RolloutStarted", FIRST): holder("rollout", model),
    }, {2: partial(processes.kill, "drift-windows")}


def everybody_else(processes: Processes, model: str) -> tuple[Mapping[tuple[str, int], Act], Mapping[int, Act]]:
    """Doors, the join, the job, MLflow when a version is to be shown there, the broker in a canary."""
    kill = partial(partial, processes.kill)
    return {
        ("TrainingStarted", SECOND): partial(processes.kill_job, "trainer"),
        ("ModelVersionCreated", SECOND): kill("mlflow"),
        ("StepTaken", FIRST): kill("broker"),
    }, {1: kill("ingest-worker"), 3: kill("ingest"), 6: kill("serving")}


def two_at_once(processes: Processes, model: str) -> tuple[Mapping[tuple[str, int], Act], Mapping[int, Act]]:
    """Both replicas; the broker with who decides; both ends of the data plane."""
    kill = partial(partial, processes.kill)
    return {
        ("TrainingStarted", SECOND): kill("trainer", "trainer-1"),
        ("ChecksStarted", SECOND): kill("broker", "gatekeeper"),
        ("RolloutStarted", FIRST): kill("rollout", "rollout-1"),
        ("VersionPromoted", SECOND): kill("mlflow", "serving"),
    }, {2: kill("ingest-worker", "drift-windows"), 4: kill("drift-judge", "drift-judge-1"), 5: kill("broker", "ingest")}


def zombies(processes: Processes, model: str) -> tuple[Mapping[tuple[str, int], Act], Mapping[int, Act]]:
    """Whoever decides stands still past its session, and goes on when another has taken its place."""
    still = partial(partial, processes.stand_still)
    return {
        ("TurnOpened", SECOND): still("drift-judge", model),
        ("TrainingStarted", SECOND): still("trainer", model),
        ("ChecksStarted", SECOND): still("gatekeeper", model),
        ("RolloutStarted", FIRST): still("rollout", model),
    }, {}


@pytest.fixture(scope="session")
def undisturbed(stack: Stack) -> list[str]:
    """The decisions of a run that nobody disturbed."""
    with Processes(stack) as processes:
        said = run(stack, processes, "kills.r0", nobody)
    assert any(line.startswith("VersionPromoted") and "version=2" in line for line in said), "the turn is not whole"
    return said


def test_killed_judges_and_windows_decide_the_same(stack: Stack, processes: Processes, undisturbed: list[str]) -> None:
    assert run(stack, processes, "kills.r1", judges_and_windows) == undisturbed
    assert len(processes.hurt) == 5


@pytest.mark.soak
@pytest.mark.parametrize(
    ("model", "faults"),
    [("kills.r2", everybody_else), ("kills.r3", two_at_once), ("kills.r4", zombies)],
    ids=["everybody-else", "two-at-once", "zombies"],
)
def test_whoever_is_hurt_the_loop_decides_the_same(
    stack: Stack, processes: Processes, undisturbed: list[str], model: str, faults: Faults
) -> None:
    assert run(stack, processes, model, faults) == undisturbed
