"""The trainer's outside world.

`job` is the child process that fits a model, `recipes` finds and fits what a recipe names, `measures` says how good it
is, `registry` shows versions in MLflow. Importing this package costs nothing: each part loads what it needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from everloop.events import Event, ModelVersionCreated
from everloop.jobs import ChildJobs
from everloop.runtime.room import Effect
from everloop_trainer.handlers import JOBS
from everloop_trainer.settings import TrainerSettings


def child_jobs(settings: TrainerSettings) -> ChildJobs:
    """Training as child processes of this one. They see where artifacts lie, and nothing else of our environment."""
    commands = {kind.__name__: [sys.executable, "-m", module] for kind, module in JOBS.items()}
    return ChildJobs(commands, settings.jobs, environment=settings.for_jobs(os.environ))


def effects(settings: TrainerSettings) -> Mapping[type[Event], Effect]:
    """What follows outside from our own events: a version is shown in MLflow."""
    from everloop.registry import connect  # noqa: PLC0415 - the child, which imports this package as well, asks nobody
    from everloop_trainer.adapters.registry import Registry  # noqa: PLC0415 - as above

    return {ModelVersionCreated: Registry(connect(settings.mlflow), settings.open_store())}
