"""`python -m everloop_drift windows|judge|reports`: read the environment, call the room."""

import os
import sys

from everloop.hosting import leave, started
from everloop_drift.app import ROOMS
from everloop_drift.settings import DriftSettings

if __name__ == "__main__":
    leave(started(lambda: ROOMS[sys.argv[1]](DriftSettings.from_environment(os.environ))))
