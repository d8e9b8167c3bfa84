"""`python -m everloop_ingest door` or `worker`; settings come from EVERLOOP_ variables."""

from __future__ import annotations

import os
import sys

from everloop.hosting import USAGE, leave, started
from everloop_ingest.app import door, worker
from everloop_ingest.settings import Settings

ROLES = {"door": door, "worker": worker}


def main(arguments: list[str]) -> int:
    """Run one role; the exit code: 2 when the person must change something, 70 when a restart may help."""
    if len(arguments) != 1 or arguments[0] not in ROLES:
        sys.stderr.write(f"say which process to run: python -m everloop_ingest {'|'.join(ROLES)}\n")
        return USAGE
    return started(lambda: ROLES[arguments[0]](Settings.from_environment(os.environ)))


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
