"""The process under test of `bus.journal`: `python -m benchmarks.bus.journal_ours ADDRESS`.

The judge of drift as `python -m everloop_drift judge` hosts it, without the two other rooms of that process.
"""

from __future__ import annotations

import sys

from everloop.hosting import Health, leave, run_polling
from everloop.jobs import InlineJobs
from everloop.logs import configure
from everloop.runtime.control import ControlService
from everloop.runtime.kafka_log import KafkaLog
from everloop.wiring import wall
from everloop_drift.handlers import decider


def main(address: str) -> int:
    """Decide until a signal; the exit code."""
    configure("drift-judge", "0")
    log = KafkaLog(address, client_id="bench-judge", static="0")
    service = ControlService(decider(), log, InlineJobs({}), replica="0", wall=wall)
    return run_polling([service], health=Health())


if __name__ == "__main__":
    leave(main(*sys.argv[1:]))
