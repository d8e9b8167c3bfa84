"""What the gatekeeper is told, from a mapping that is passed in."""

from __future__ import annotations

from pathlib import Path

from everloop.settings import ServiceSettings


class GatekeeperSettings(ServiceSettings):
    """The settings of every service; the gatekeeper keeps its jobs' specifications and logs beside the other state."""

    @property
    def jobs(self) -> Path:
        """Folder with one folder per measurement."""
        return self.var / "jobs" / f"gatekeeper-{self.replica}"
