"""The rooms of drift that fold, on the log: what they know, the form of their state, and the two rooms themselves.

`report` is the child process that writes a full report, `sampling` and `evidently_report` are parts of it: nothing else
imports these.
"""

from __future__ import annotations

import os
import sys

from everloop.jobs import ChildJobs
from everloop_drift.adapters.merge import MergeFold
from everloop_drift.adapters.probe import Probe
from everloop_drift.adapters.windows import WindowsFold
from everloop_drift.handlers import JOBS
from everloop_drift.settings import DriftSettings

__all__ = ["MergeFold", "Probe", "WindowsFold", "child_jobs"]


def child_jobs(settings: DriftSettings) -> ChildJobs:
    """Reports as child processes of this one. They see where artifacts lie, and nothing else of our environment."""
    commands = {kind.__name__: [sys.executable, "-m", module] for kind, module in JOBS.items()}
    return ChildJobs(commands, settings.jobs, environment=settings.for_jobs(os.environ))
