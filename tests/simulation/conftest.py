"""One undisturbed run for all tests: what the disturbed ones are held against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from tests.simulation.stack import Stack


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of plans are obeyed; nobody reads of it."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[lambda _, __, event: str(event)])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def undisturbed() -> Stack:
    """One replica of each service and no fault."""
    return Stack().run()
