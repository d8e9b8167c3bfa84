"""What ingest is told beside what every service is told."""

from __future__ import annotations

from pydantic import Field

from everloop.settings import ServiceSettings


class Settings(ServiceSettings):
    """Settings of both processes, door and worker."""

    gather_ms: float = Field(
        default=3.0, ge=0, le=1_000, description="How long the door gathers requests into one write, in ms, 0 to 1000"
    )
    answer_s: float = Field(
        default=5.0, gt=0, le=60, description="How long a request waits for the broker, in seconds, up to 60"
    )
    backlog_rows: int = Field(
        default=100_000, ge=1, le=10_000_000, description="Rows that may wait for the broker, 1 to 10 million"
    )
    linger_s: float = Field(
        default=10.0, ge=0, le=3_600, description="How long rows wait for a file of the archive, in seconds, 0 to 3600"
    )
    settle_s: float = Field(
        default=900.0, ge=0, le=86_400,
        description="How long files of the archive rest before small ones are merged, in seconds, up to a day",
    )  # fmt: skip
    remembered: int = Field(
        default=500_000, ge=1_000, le=100_000_000,
        description="Predictions that the join remembers per partition, from 1000 on",
    )  # fmt: skip
