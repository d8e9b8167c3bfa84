"""Settings of rollout: those of every service, and how long the registry may take."""

from __future__ import annotations

from pydantic import Field

from everloop.settings import ServiceSettings


class Settings(ServiceSettings):
    """What rollout is told."""

    registry_timeout_s: float = Field(
        default=2.0, gt=0, le=10, description="Seconds that one request to MLflow may take, above 0 to 10"
    )
