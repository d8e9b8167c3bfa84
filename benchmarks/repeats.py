"""The same again, a few times, and a word before each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from benchmarks.figures import Say

T = TypeVar("T")


def repeats(count: int, once: Callable[[int], T], say: Say) -> list[T]:
    """What `once(number)` gives, for each number from 0."""
    found = []
    for number in range(count):
        say(f"{number + 1} of {count}")
        found.append(once(number))
    return found
