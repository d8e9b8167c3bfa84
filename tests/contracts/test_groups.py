"""The table of consumer groups is what the rooms really read: replay waits by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from everloop import topics
from everloop.groups import ROOMS, Room, expected
from everloop.local.stack import SERVICES
from everloop.runtime.room import Decider
from everloop_drift import handlers as drift
from everloop_drift.adapters import MergeFold, WindowsFold
from everloop_gatekeeper import handlers as gatekeeper
from everloop_ingest import handlers as ingest
from everloop_ingest.adapters.archives import ArchiveFold
from everloop_ingest.adapters.joins import JoinFold
from everloop_ingest.adapters.routes import RouteFold
from everloop_rollout import handlers as rollout
from everloop_serving import handlers as serving
from everloop_trainer import handlers as trainer

BY_NAME: Mapping[str, Room] = {room.name: room for room in ROOMS}
JOURNALLED = {
    "drift.judge": (drift.JOURNAL, drift.HEARS, drift.FACTS),
    "drift.reports": (drift.REPORTS_JOURNAL, drift.REPORTS_HEAR, drift.REPORTS_FACTS),
    "trainer": (trainer.JOURNAL, trainer.HEARS, trainer.FACTS),
    "gatekeeper": (gatekeeper.JOURNAL, gatekeeper.HEARS, gatekeeper.FACTS),
    "rollout": (rollout.JOURNAL, rollout.HEARS, rollout.FACTS),
}
FOLDS = (WindowsFold, MergeFold, RouteFold, JoinFold, ArchiveFold)


def names(of: tuple[topics.Topic, ...]) -> set[str]:
    return {topic.name for topic in of}


@pytest.mark.parametrize("fold", FOLDS, ids=lambda fold: str(fold.name))
def test_rooms_that_fold(fold: type[Any]) -> None:
    room = BY_NAME[fold.name]
    assert names(room.shared) == set(fold.hears)
    assert names(room.broadcast) == set(fold.broadcasts)


@pytest.mark.parametrize("name", JOURNALLED)
def test_rooms_that_decide(name: str) -> None:
    journal, hears, facts = JOURNALLED[name]
    room = BY_NAME[name]
    assert names(room.shared) == names((journal, *hears))
    assert names(room.broadcast) == names((topics.LOOPS, topics.CLOCK, *facts))


@pytest.mark.parametrize(
    "decider", [drift.decider(), drift.reporter(), rollout.decider(), trainer.decider()], ids=lambda d: d.name
)
def test_deciders_have_the_names_of_their_rooms(decider: Decider[Any]) -> None:
    assert decider.name in BY_NAME


def test_the_doors() -> None:
    assert names(BY_NAME["ingest.door"].broadcast) == names(ingest.BROADCASTS["ingest.door"])
    assert names(BY_NAME["serving"].broadcast) == names(serving.CONSUMES)


def test_no_room_is_missing_and_each_runs_in_a_process_of_the_stack() -> None:
    assert {fold.name for fold in FOLDS} | set(JOURNALLED) | {"ingest.door", "serving"} == set(BY_NAME)
    assert {room.process for room in ROOMS} == {service.name for service in SERVICES}


def test_replicas_share_a_group_and_have_a_broadcast_of_their_own() -> None:
    groups = expected(["broker", "topics", "trainer", "trainer-1", "drift-windows"])
    assert sorted(groups) == [
        "everloop.drift.windows", "everloop.drift.windows.broadcast.0",
        "everloop.trainer", "everloop.trainer.broadcast.0", "everloop.trainer.broadcast.1",
    ]  # fmt: skip


def test_a_process_that_does_not_run_is_not_waited_for() -> None:
    assert not any("gatekeeper" in group for group in expected(["trainer", "gatekeeper-x", "ingest"]))
