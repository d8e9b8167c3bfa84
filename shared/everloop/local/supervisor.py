"""The supervisor: `python -m everloop.local.supervisor PLAN`. Starts a plan's processes, keeps them, stops them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from everloop.errors import UsageError
from everloop.local.child import Child
from everloop.local.logs import rotate
from everloop.local.paths import Var
from everloop.local.spec import Plan, stop_order
from everloop.local.state import FINE, Stack, hold_lock, write_stack

if TYPE_CHECKING:
    from collections.abc import Mapping

ROTATE_EVERY_SECONDS = 10.0


class Supervisor:
    """Runs one plan until it is told to stop."""

    def __init__(self, plan: Plan, environ: Mapping[str, str]) -> None:
        self._plan = plan
        self._var = Var(plan.var)
        self._started_at = datetime.now(UTC)
        self._stopping = False
        self._children = {spec.name: Child(spec, environ, plan.stop_seconds, self._publish) for spec in plan.processes}

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, wait for `stop`, then end everything in reverse order."""
        self._publish()
        for child in self._children.values():
            child.launch(self._children)
        rotation = asyncio.create_task(self._keep_logs_small())
        await stop.wait()
        rotation.cancel()
        self._stopping = True
        for names in stop_order(self._plan.processes):
            await asyncio.gather(*(self._children[name].stop() for name in names))
        self._publish(stopped=True)

    def stack(self, *, stopped: bool = False) -> Stack:
        """How things stand."""
        processes = tuple(child.state for child in self._children.values())
        fine = all(process.phase in FINE for process in processes)
        return Stack(
            supervisor=os.getpid(),
            started_at=self._started_at,
            state="stopped" if stopped else "stopping" if self._stopping else "running" if fine else "starting",
            **self._plan.model_dump(exclude={"processes", "stop_seconds"}),
            processes=processes,
        )

    def _publish(self, *, stopped: bool = False) -> None:
        try:
            write_stack(self._var, self.stack(stopped=stopped))
        except OSError as error:  # a full disk must not take the processes down with it
            sys.stderr.write(f"cannot write {self._var.state_file}: {error.strerror}\n")

    async def _keep_logs_small(self) -> None:
        while True:
            await asyncio.sleep(ROTATE_EVERY_SECONDS)
            for child in self._children.values():
                rotate(child.spec.log_path)


async def supervise(plan: Plan, environ: Mapping[str, str]) -> None:
    """Run a plan until SIGTERM or SIGINT. The terminal's hang-up is not meant for us."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    await Supervisor(plan, environ).run(stop)


def main(arguments: list[str]) -> int:
    """Read the plan, take the lock, run; 2 when another supervisor has the lock."""
    plan = Plan.model_validate_json(Path(arguments[0]).read_bytes())
    try:
        with hold_lock(Var(plan.var), os.getpid()):
            asyncio.run(supervise(plan, os.environ))
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
