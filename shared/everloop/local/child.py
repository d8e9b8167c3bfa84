"""One supervised process: started when its turn has come, watched until ready, started again when it fails."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from everloop.local.backoff import backoff, failures_in_a_row
from everloop.local.groups import created, end_group
from everloop.local.ready import is_ready
from everloop.local.state import ProcessState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from everloop.local.spec import ProcessSpec

ASK_EVERY_SECONDS = 0.2
CANNOT_START = 127


class Child:
    """Keeps one process running. `changed()` is called after each change of `state`."""

    def __init__(
        self, spec: ProcessSpec, environ: Mapping[str, str], stop_seconds: float, changed: Callable[[], None]
    ) -> None:
        self.spec = spec
        self._stop_seconds = stop_seconds
        self.state = ProcessState(name=spec.name, port=spec.port, log=spec.log_path)
        self.ready = asyncio.Event()
        self._environ = {**environ, **spec.env}
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    def launch(self, others: Mapping[str, Child]) -> None:
        """Begin; returns at once."""
        self._keeper = asyncio.create_task(self._keep(others))

    async def stop(self) -> None:
        """End the process, by force when its time is over, with all its children; it will not be started again."""
        if self._keeper:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        if self._process and self._process.returncode is None:
            await self._end(self._process)
        self._note(phase="stopped", pid=None)

    async def _keep(self, others: Mapping[str, Child]) -> None:
        await self._wait_for_turn(others)
        failures = 0
        while True:
            began = time.monotonic()
            code = await self._run()
            if self.spec.once or code == 0:
                self._finish(code)
                return
            failures = failures_in_a_row(failures, time.monotonic() - began)
            self._note(phase="restarting", pid=None, exit_code=code, restarts=self.state.restarts + 1)
            await asyncio.sleep(backoff(failures))

    async def _wait_for_turn(self, others: Mapping[str, Child]) -> None:
        for name in self.spec.depends_on:
            self._note(waits_for=name)
            await others[name].ready.wait()
        self._note(waits_for="")

    async def _run(self) -> int:
        """Start it once and wait for its end; return its exit code (negative: the signal)."""
        try:
            self._process = process = await self._start()
        except OSError as error:
            self._log(f"cannot start {self.spec.argv[0]}: {error.strerror}")
            return CANNOT_START
        now = datetime.now(UTC)
        self._note(phase="starting", pid=process.pid, created=created(process.pid), started_at=now, ready_at=None)
        watch = asyncio.create_task(self._watch())
        try:
            return await process.wait()
        finally:
            watch.cancel()
            if process.returncode is not None:
                end_group(process.pid)  # what it started must not outlive it: the next one starts its own

    async def _start(self) -> asyncio.subprocess.Process:
        self._log(f"starts at {datetime.now(UTC).isoformat(timespec='seconds')}")
        with self.spec.log_path.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self.spec.argv,
                env=self._environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _watch(self) -> None:
        if self.spec.once:
            return
        while not await asyncio.to_thread(is_ready, self.spec.ready):  # noqa: ASYNC110 - the other is a process
            await asyncio.sleep(ASK_EVERY_SECONDS)
        self._note(phase="ready", ready_at=datetime.now(UTC))
        self.ready.set()

    def _finish(self, code: int) -> None:
        """It ended, and that is that: done, failed, or a service that left without being asked."""
        if self.spec.once and code == 0:
            self._note(phase="done", pid=None, exit_code=0, ready_at=datetime.now(UTC))
            self.ready.set()
        else:
            self._note(phase="failed" if code else "exited", pid=None, exit_code=code)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Ask the leader alone, so that it can end its children in its own way; then make sure of the whole group."""
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self._stop_seconds)
        except TimeoutError:
            self._log(f"did not stop within {self._stop_seconds:.0f} s: killed")
        end_group(process.pid)
        await process.wait()

    def _note(self, **fields: object) -> None:
        self.state = ProcessState.model_validate(self.state.model_dump() | fields)
        self._changed()

    def _log(self, text: str) -> None:
        with suppress(OSError), self.spec.log_path.open("a", encoding="utf-8") as log:
            log.write(f"supervisor: {self.spec.name} {text}\n")
