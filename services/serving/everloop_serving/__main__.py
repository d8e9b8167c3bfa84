"""`python -m everloop_serving`: read the environment, call the app."""

from __future__ import annotations

import os

# One thread per request: scikit-learn's histogram models start as many as there are cores, for each call.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"


def main() -> int:
    """Run until a signal; the exit code."""
    from everloop.hosting import started  # noqa: PLC0415 - after the environment was set: numpy reads it on import
    from everloop_serving.app import run  # noqa: PLC0415 - as above
    from everloop_serving.settings import ServingSettings  # noqa: PLC0415 - as above

    return started(lambda: run(ServingSettings.from_environment(os.environ)))


if __name__ == "__main__":
    from everloop.hosting import leave

    leave(main())
