"""`python -m everloop_rollout`: read the environment, call the app."""

import os

from everloop.hosting import leave, started
from everloop_rollout.app import run
from everloop_rollout.settings import RolloutSettings

if __name__ == "__main__":
    leave(started(lambda: run(RolloutSettings.from_environment(os.environ))))
