"""What drift is told, from a mapping that is passed in: nothing beyond the settings of every service."""

from __future__ import annotations

from pathlib import Path

from everloop.settings import ServiceSettings


class DriftSettings(ServiceSettings):
    """The settings of every service; rules come from loop files, never from the environment."""

    @property
    def jobs(self) -> Path:
        """Folder with one folder per report that is being written."""
        return self.var / "jobs" / f"reports-{self.replica}"
