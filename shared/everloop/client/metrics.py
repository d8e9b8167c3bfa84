"""The counts of a client for Prometheus: `REGISTRY.register(StatsCollector(client))` in the server that has one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from everloop.client.tally import Stats

COUNTED: Final = ("sent", "refused", "dropped", "spilled", "recovered")


class HasStats(Protocol):
    """A client."""

    @property
    def stats(self) -> Callable[[], Stats]:
        """Give its counts."""


class StatsCollector:
    """`everloop_client_rows_total{outcome}` and `everloop_client_waiting_rows{place}`, read when they are asked for."""

    def __init__(self, client: HasStats) -> None:
        """See the module."""
        self._client: Final = client

    def collect(self) -> Iterator[Metric]:
        """Give the metrics of this moment."""
        stats = self._client.stats()
        rows = CounterMetricFamily("everloop_client_rows", "Rows by what became of them", labels=["outcome"])
        for name in COUNTED:
            rows.add_metric([name], getattr(stats, name))
        yield rows
        waiting = GaugeMetricFamily("everloop_client_waiting_rows", "Rows that wait to be sent", labels=["place"])
        waiting.add_metric(["memory"], stats.queued)
        waiting.add_metric(["disk"], stats.on_disk)
        yield waiting
