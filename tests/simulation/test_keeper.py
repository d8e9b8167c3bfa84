"""The keeper beside the whole stack: files are merged while the loop turns, and nothing is decided otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from everloop import topics
from everloop.archive.verifying import verify
from everloop.events import FilesMerged, ModelVersionCreated
from everloop.metrics import Metrics
from everloop.runtime.memory import MemoryClient
from everloop.simulation import Build
from everloop_ingest.adapters.keeper import Keeper
from tests.simulation.stack import STORE, Stack, wall


def keepers() -> Mapping[str, Build]:
    """Two, which do not let files rest."""

    def build(replica: int) -> Build:
        def keeper(log: MemoryClient) -> Keeper:
            return Keeper(log, STORE, wall, Metrics(), settle_ms=0, replica=str(replica))

        return keeper

    return {f"keeper-{replica}": build(replica) for replica in range(2)}


def versions(stack: Stack) -> list[tuple[str, int, int, Mapping[str, float]]]:
    """What each version learned from, by time, and how good it is: both to the bit."""
    created = [one for one in stack.journal(topics.TRAINING) if isinstance(one, ModelVersionCreated)]
    return [(one.version, one.snapshot.start, one.cut, one.metrics) for one in created]


@pytest.mark.soak
def test_the_loop_turns_the_same_while_files_are_merged(undisturbed: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everloop_ingest.domain.keeping.FEWEST", 3)
    stack = Stack(instead=keepers()).run()
    merges = [one for one in stack.events(topics.ARCHIVE) if isinstance(one, FilesMerged)]
    assert merges
    assert versions(stack) == versions(undisturbed)
    assert stack.weights() == undisturbed.weights()
    assert [len(stack.journal(topic)) for topic in (topics.DRIFT, topics.VERDICTS, topics.ROLLOUTS)] == [
        len(undisturbed.journal(topic)) for topic in (topics.DRIFT, topics.VERDICTS, topics.ROLLOUTS)
    ]
    assert verify(stack.simulation.client(), STORE).damages == []
    assert verify(undisturbed.simulation.client(), STORE).damages == []
