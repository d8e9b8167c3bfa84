from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Fit on one thread: OpenMP's threads spin, and on busy cores a fit of 0.3 s then takes more than ten."""
    import sklearn.ensemble  # noqa: F401, PLC0415  (only libraries that are loaded are limited)

    with threadpool_limits(1):
        yield
