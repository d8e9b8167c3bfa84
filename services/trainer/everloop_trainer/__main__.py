"""`python -m everloop_trainer`: read the environment, call the app."""

import os

from everloop.hosting import leave, started
from everloop_trainer.app import run
from everloop_trainer.settings import TrainerSettings

if __name__ == "__main__":
    leave(started(lambda: run(TrainerSettings.from_environment(os.environ))))
