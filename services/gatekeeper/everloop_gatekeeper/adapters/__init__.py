"""The gatekeeper's outside world: the signature on a verdict, and the child process that measures (`job`).

Importing this package costs nothing: the job loads what it needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from everloop.errors import UsageError
from everloop.events import Event, VersionPassed
from everloop.jobs import ChildJobs
from everloop.signing import PrivateKey, load_private, sign_verdict
from everloop_gatekeeper.handlers import JOBS
from everloop_gatekeeper.settings import GatekeeperSettings


def sealer(private: PrivateKey) -> Callable[[Event], Event]:
    """Give the function that signs the verdict in a `VersionPassed`, and leaves any other event as it is."""

    def seal(event: Event) -> Event:
        if isinstance(event, VersionPassed):
            return event.model_copy(update={"verdict": sign_verdict(private, event.verdict)})
        return event

    return seal


def private_key(settings: GatekeeperSettings) -> PrivateKey:
    """Read the key that signs verdicts. Raises `UsageError` where none is named or its file is none."""
    if settings.key is None:
        message = "EVERLOOP_KEY is not set: the gatekeeper signs verdicts; name the key file that `everloop up` made"
        raise UsageError(message)
    return load_private(settings.key)


def child_jobs(settings: GatekeeperSettings) -> ChildJobs:
    """Measuring as child processes of this one. They see where artifacts lie, and nothing else of our environment.

    One thread, as where a request is scored: else the champion's latency would not be comparable with the candidate's.
    """
    commands = {kind.__name__: [sys.executable, "-m", module] for kind, module in JOBS.items()}
    environment = {**settings.for_jobs(os.environ), "OMP_NUM_THREADS": "1"}
    return ChildJobs(commands, settings.jobs, environment=environment)
