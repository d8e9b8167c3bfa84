"""`python -m everloop_ingest door` or `worker`; settings come from EVERLOOP_ variables."""

from __future__ import annotations

import os
import sys

import structlog

from everloop.errors import EverloopError, UsageError
from everloop.hosting import RESTART, leave
from everloop_ingest.app import door, worker
from everloop_ingest.settings import Settings

ROLES = {"door": door, "worker": worker}


def main(arguments: list[str]) -> int:
    """Run one role; the exit code: 2 when the person must change something, 70 when a restart may help."""
    if len(arguments) != 1 or arguments[0] not in ROLES:
        sys.stderr.write(f"say which process to run: python -m everloop_ingest {'|'.join(ROLES)}\n")
        return 2
    try:
        return ROLES[arguments[0]](Settings.from_environment(os.environ))
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except Exception as error:  # noqa: BLE001 -- a broker that is not there yet: the supervisor starts it again
        message = str(error) if isinstance(error, EverloopError) else ""
        structlog.get_logger().error("not_started", error=type(error).__name__, message=message)
        return RESTART


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
