"""`kill -9` on the real stack, in the middle of a turn: the loop ends in the same decisions, once each, books balanced.

Each run is a model of its own on one stack, in which each service that decides has two replicas, in the soak also each
that folds. What a run is compared with are the decisions of one that nobody disturbed: they are kept in `DECISIONS`,
since such a run takes minutes, and the soak sees that they are so. `python -m tests.e2e.test_kills` writes them anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from everloop.demo.books import recount, unbalanced
from everloop.local.paths import Var
from everloop.local.state import Stack
from tests.e2e.conftest import JUDGES, started
from tests.e2e.cycle import JOURNALS, Cycle, await_champion_shown, decisions, driver, journal
from tests.e2e.faults import Insistent, Plan, Processes

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.kafka,
    # kafka-python leaves a socket behind for each connection that is refused, or cut while it asks for metadata.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DECISIONS = Path(__file__).with_name("decisions.txt")
FIRST, SECOND = 1, 2
"""The n-th event of its type: the second is of the turn that a drift opened."""
Faults = Callable[[Processes, str], Plan]


def run(stack: Stack, processes: Processes, model: str, faults: Faults) -> list[str]:
    """Play one turn, hurt as planned; what was decided."""
    plan = faults(processes, model)
    with driver(stack, plan.hear, plan.see, Insistent) as client:
        Cycle(model, client, plan.window).play()
        assert not plan.left, "a fault that never happened proves nothing"
        assert not unbalanced(recount(client.log))
        for topic in JOURNALS:
            causes = Counter(event.causation_id for event in journal(client.log, topic, model))
            assert max(causes.values()) == 1, f"{topic.name}: an input was answered twice"
        await_champion_shown(stack, model, "2")
        return decisions(client.log, model)


def nobody(_: Processes, model: str) -> Plan:
    """A run for comparison."""
    return Plan(model)


def judges_and_windows(processes: Processes, model: str) -> Plan:
    """Each control service when it has begun something, and drift's windows between the rows of one."""
    holder = partial(partial, processes.kill_holder)
    on = {
        ("TurnOpened", SECOND): holder("drift-judge", model),
        ("TrainingStarted", SECOND): holder("trainer", model),
        ("ChecksStarted", SECOND): holder("gatekeeper", model),
        ("RolloutStarted", FIRST): holder("rollout", model),
    }
    return Plan(model, on, {2: partial(processes.kill, "drift-windows")})


def everybody_else(processes: Processes, model: str) -> Plan:
    """Doors, the join, both jobs, MLflow when a version is to be shown there, the broker in a canary."""
    kill = partial(partial, processes.kill)
    on = {
        ("TrainingStarted", SECOND): partial(processes.kill_job, "trainer"),
        ("ModelVersionCreated", SECOND): kill("mlflow"),
        ("ChecksStarted", SECOND): partial(processes.kill_job, "gatekeeper"),
        ("StepTaken", FIRST): kill("broker"),
    }
    return Plan(model, on, {3: kill("ingest"), 6: kill("serving")}, {1: kill("ingest-worker")})


def two_at_once(processes: Processes, model: str) -> Plan:
    """Both replicas; the broker with who decides; both ends of the data plane."""
    kill = partial(partial, processes.kill)
    on = {
        ("TrainingStarted", SECOND): kill("trainer", "trainer-1"),
        ("ChecksStarted", SECOND): kill("broker", "gatekeeper"),
        ("RolloutStarted", FIRST): kill("rollout", "rollout-1"),
        ("VersionPromoted", SECOND): kill("mlflow", "serving"),
    }
    at = {4: kill("drift-judge", "drift-judge-1"), 5: kill("broker", "ingest")}
    return Plan(model, on, at, {2: kill("ingest-worker", "drift-windows")})


def zombies(processes: Processes, model: str) -> Plan:
    """Whoever decides or folds stands still past its session, and goes on when another has its place; doors, too."""
    holder, still = partial(partial, processes.stand_holder_still), partial(partial, processes.stand_still)
    on = {
        ("TurnOpened", SECOND): holder("drift-judge", model),
        ("TrainingStarted", SECOND): holder("trainer", model),
        ("ChecksStarted", SECOND): holder("gatekeeper", model),
        ("RolloutStarted", FIRST): holder("rollout", model),
    }
    amid = {0: still("drift-windows"), 2: still("ingest-worker"), 5: still("drift-windows-1")}
    return Plan(model, on, {3: still("ingest"), 7: still("serving")}, amid)


@pytest.fixture(scope="session")
def undisturbed() -> list[str]:
    """The decisions of a run that nobody disturbed."""
    said = DECISIONS.read_text("utf-8").splitlines()
    assert any(line.startswith("VersionPromoted") and "version=2" in line for line in said), "the turn is not whole"
    return said


def test_killed_judges_and_windows_decide_the_same(stack: Stack, processes: Processes, undisturbed: list[str]) -> None:
    assert run(stack, processes, "kills.r1", judges_and_windows) == undisturbed
    assert len(processes.hurt) == 5


@pytest.mark.soak
def test_what_is_kept_is_what_an_undisturbed_run_decides(
    stack: Stack, processes: Processes, undisturbed: list[str]
) -> None:
    assert run(stack, processes, "kills.r0", nobody) == undisturbed


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


def write() -> None:
    """Keep what a run decides on a stack of its own."""
    with TemporaryDirectory() as folder, started(Var(Path(folder)), JUDGES) as stack, Processes(stack) as processes:
        DECISIONS.write_text("\n".join(run(stack, processes, "kills.r0", nobody)) + "\n", "utf-8")


if __name__ == "__main__":
    write()
