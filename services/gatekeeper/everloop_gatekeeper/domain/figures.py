"""What the measuring job hands in: plain figures, no verdict. Order everywhere: the candidate first, then the champion.

A champion is absent when the model has none yet: then each tuple has one value.
"""

from __future__ import annotations

from collections.abc import Mapping

from everloop.events import Value


class MetricFigures(Value):
    """One metric of the models on the same rows, with their covariance (k by k).

    `samples`: rows of the smaller class, or independent rows (clusters); `degrees` of freedom, None for the normal
    distribution.
    """

    value: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    samples: int
    degrees: float | None = None


class Latency(Value):
    """Wall milliseconds that scoring one row takes, over so many `rows`."""

    rows: int
    p50: float
    p95: float


class Figures(Value):
    """All that was measured of a version. `reason` and `message` are set when its file is none that may be loaded.

    `size` in bytes; `features` and `task` as the file itself says; a metric that could not be measured for want of rows
    is not in `metrics`. `calibration_error` is the expected calibration error (binary), `seconds` where the time went.
    """

    size: int
    reason: str = ""
    message: str = ""
    features: Mapping[str, str] = {}
    task: str = ""
    rows: int = 0
    metrics: Mapping[str, MetricFigures] = {}
    latency: Latency | None = None
    champion_latency: Latency | None = None
    calibration_error: float | None = None
    seconds: Mapping[str, float] = {}

    @property
    def loads(self) -> bool:
        """Whether the bytes are those of the digest, are on the allow-list, and score."""
        return not self.reason
