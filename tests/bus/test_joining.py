"""Members of a group join once, however short their polls: a join that ends between two of them is not lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from everloop import topics
from everloop.runtime.kafka_log import KafkaLog, KafkaMember
from everloop.runtime.log import Consumer

pytestmark = pytest.mark.kafka
SHORT_S = 0.001
"""Shorter than any join."""
PAUSE_S = 0.05
PATIENCE_S = 60.0


def until(done: Callable[[], bool], *members: Consumer) -> None:
    """Poll all in turn, each while the others do something else."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, "they have not joined"
        for member in members:
            member.poll(SHORT_S)
            time.sleep(PAUSE_S)


def generation(member: Consumer) -> int:
    """The broker's count of the group's joins."""
    assert isinstance(member, KafkaMember)
    return int(member.consumer._coordinator._generation.generation_id)  # noqa: SLF001 -- there is no public way to see it


def test_a_join_that_ends_between_two_polls_counts(log: KafkaLog) -> None:
    alone = log.consumer("everloop.test.joining", [topics.WINDOWS.name])
    until(lambda: bool(alone.assignment().places), alone)
    assert len(alone.assignment().places) == topics.WINDOWS.partitions
    assert generation(alone) == 1
    alone.close()


def test_of_two_members_with_short_polls_each_gets_its_part_at_once(log: KafkaLog) -> None:
    leader = log.consumer("everloop.test.joining.two", [topics.WINDOWS.name])
    until(lambda: bool(leader.assignment().places), leader)
    second = log.consumer("everloop.test.joining.two", [topics.WINDOWS.name])
    until(lambda: len(leader.assignment().places) == len(second.assignment().places), leader, second)
    parts = [one.assignment().places for one in (leader, second)]
    assert sorted(map(len, parts)) == [topics.WINDOWS.partitions // 2] * 2
    assert not parts[0] & parts[1]
    assert [generation(one) for one in (leader, second)] == [2, 2]
    for one in (leader, second):
        one.close()
