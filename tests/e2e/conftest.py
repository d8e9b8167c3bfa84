"""One whole stack for all tests here: real broker, MLflow, every service as a process, two of each that decides."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import pytest

from everloop.local.lifecycle import Wish, make_plan, start, stop
from everloop.local.paths import Var, cache_directory
from everloop.local.stack import Options
from everloop.local.state import Stack
from tests.e2e.faults import Processes

JUDGES = {"trainer": 2, "gatekeeper": 2, "rollout": 2, "drift-judge": 2}
FOLDERS = {"drift-windows": 2, "ingest-worker": 2}
"""Only in the soak, where they stand still as zombies: a zombie needs another that takes its place."""


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One for all tests."""
    soak = any(item.get_closest_marker("soak") for item in request.session.items)
    with started(Var(tmp_path_factory.mktemp("stack")), JUDGES | (FOLDERS if soak else {})) as found:
        yield found


@contextmanager
def started(var: Var, replicas: Mapping[str, int], without: Collection[str] = ("drift-reports",)) -> Iterator[Stack]:
    """As `everloop up --ports auto --replicas trainer=2 …`; stopped at the end."""
    options = Options(var.root, sys.executable, replicas=replicas, without=frozenset(without))
    plan = make_plan(var, Wish(options, cache_directory(os.environ), ports={}, auto=True), lambda *_: None)
    found = start(var, plan, limit_seconds=180, show=lambda _: None)
    try:
        yield found
    finally:
        stop(var)


@pytest.fixture
def processes(stack: Stack) -> Iterator[Processes]:
    """What may be killed; at the end nothing is left standing still."""
    with Processes(stack) as found:
        yield found
