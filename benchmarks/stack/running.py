"""A whole stack for benchmarks that need one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from everloop.local.lifecycle import Wish, make_plan, start, stop
from everloop.local.paths import Var, cache_directory
from everloop.local.stack import Options
from everloop.local.state import Stack

READY_S: Final = 180.0


@contextmanager
def stack(var: Path) -> Iterator[Stack]:
    """As `everloop up --ports auto`; stopped at the end."""
    place = Var(var)
    wish = Wish(Options(place.root, sys.executable), cache_directory(os.environ), ports={}, auto=True)
    found = start(place, make_plan(place, wish, lambda *_: None), limit_seconds=READY_S, show=lambda _: None)
    try:
        yield found
    finally:
        stop(place)
