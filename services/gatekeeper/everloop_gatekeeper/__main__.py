"""`python -m everloop_gatekeeper`: read the environment, call the app."""

import os

from everloop.hosting import leave, started
from everloop_gatekeeper.app import run
from everloop_gatekeeper.settings import GatekeeperSettings

if __name__ == "__main__":
    leave(started(lambda: run(GatekeeperSettings.from_environment(os.environ))))
