"""What rollout is told, from a mapping that is passed in: nothing beyond the settings of every service."""

from __future__ import annotations

from everloop.settings import ServiceSettings


class RolloutSettings(ServiceSettings):
    """The settings of every service; rules come from loop files, never from the environment."""
