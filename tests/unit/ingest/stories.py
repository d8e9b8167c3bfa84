"""Stories of records for the join, and ways to cut them: whatever is folded together, the outcome is the same."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from everloop_ingest.domain.joining import HORIZON_MS, MINUTE_MS

E = TypeVar("E")


def a_story(seed: int, event: Callable[[random.Random, tuple[str, ...], str], E]) -> tuple[int, list[tuple[E, int]]]:
    """How much may be remembered, and records with when they were appended (ms); `event` makes one of ids and a name.

    Few ids, so that everything meets: repeats within and between records, corrections, both orders, long pauses.
    """
    chance = random.Random(seed)
    ids = [f"t{number}" for number in range(chance.choice([3, 20, 200]))]
    story: list[tuple[E, int]] = []
    now = 0
    for number in range(chance.randint(1, 50)):
        now += chance.choice([0, 0, 10, 1_000, MINUTE_MS, HORIZON_MS // 3])
        names = tuple(chance.choice(ids) for _ in range(chance.choice([0, 1, 2, 5, 30, 300])))
        made = event(chance, names, str(number))
        story.append((made, max(0, now - chance.choice([0, 0, 5_000]))))
    return chance.choice([3, 20, 100, 1_000]), story


def cuts_of(seed: int, records: int) -> tuple[list[int], list[int], list[int]]:
    """Where so many records are cut: nowhere, behind each, and behind some."""
    chance = random.Random(seed)
    some = sorted(chance.sample(range(1, records), k=records // 3)) if records > 1 else []
    return [0, records], [*range(records + 1)], [0, *some, records]
