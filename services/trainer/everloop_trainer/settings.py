"""What the trainer is told, from a mapping that is passed in."""

from __future__ import annotations

from pathlib import Path

from everloop.settings import ServiceSettings


class TrainerSettings(ServiceSettings):
    """The settings of every service; the trainer keeps its jobs' specifications and logs beside the other state."""

    @property
    def jobs(self) -> Path:
        """Folder with one folder per training job."""
        return self.var / "jobs" / f"trainer-{self.replica}"
