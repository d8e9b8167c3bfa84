"""What `everloop up` and `everloop down` do: prepare, start the supervisor, wait until all is ready; stop it again."""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from everloop.errors import FatalError, UsageError
from everloop.local.broker import answers, broker_command, prepare
from everloop.local.files import write_atomically
from everloop.local.groups import end_group, end_orphans, orphans
from everloop.local.jars import ensure_jars
from everloop.local.keys import ensure_keys
from everloop.local.logs import tail
from everloop.local.ports import free_ports, require_free
from everloop.local.stack import Options, broker_settings, build_plan, usual_ports
from everloop.local.state import all_fine, already_running, culprit, read_stack, supervisor_pid
from everloop.local.tokens import ensure_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from everloop.local.paths import Var
    from everloop.local.spec import Plan
    from everloop.local.state import ProcessState, Stack

POLL_SECONDS = 0.1
STOP_SECONDS = 60.0
LOG_LINES = 15


@dataclass(frozen=True, slots=True)
class Wish:
    """Options, and how ports are found: `ports` by name overrides; `auto` takes free ones for the rest."""

    options: Options
    cache: Path
    ports: Mapping[str, int]
    auto: bool = False


def require_loopback(broker: str) -> None:
    """Raise `UsageError` for an address of another form, and for one that is not on this machine."""
    host, _, port = broker.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"--broker {broker}: give one address as HOST:PORT")
    if not is_loopback(host):
        message = (
            f"--broker {broker}: plain text to another machine is refused; forward it to this one first, "
            f"for example `ssh -N -L 9092:localhost:{port} {host}`, and use --broker localhost:9092"
        )
        raise UsageError(message)


def is_loopback(host: str) -> bool:
    """Say whether a name or address is this machine, without asking a name server."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def make_plan(var: Var, wish: Wish, fetched: Callable[[int, int, str], None]) -> Plan:
    """Prepare all that a start needs: directories, keys, jars, storage. Raises `UsageError` with the fix.

    What costs nothing is checked first: nobody should wait for a download to learn that a port is taken.
    """
    var.make()
    require_nothing_running(var)
    ports = choose_ports(wish)
    draft = build_plan(wish.options, ports)
    require_free(needed_ports(draft))
    ensure_keys(var.keys)
    if wish.options.tokens:
        ensure_tokens(var.keys)
    if wish.options.broker:
        require_answer(wish.options.broker)
    if not any(spec.name == "broker" for spec in draft.processes):
        return draft
    settings, libraries = broker_settings(var, ports), ensure_jars(wish.cache, fetched)
    prepare(settings, libraries)
    return build_plan(wish.options, ports, tuple(broker_command(settings, libraries)))


def require_answer(broker: str) -> None:
    """Raise `UsageError` unless a Kafka on this machine answers there."""
    require_loopback(broker)
    if not answers(broker):
        raise UsageError(f"no Kafka answers at {broker}: start it, or leave --broker out to use one of our own")


def needed_ports(plan: Plan) -> dict[str, int]:
    """Ports on which a process of this plan will listen; the broker has two."""
    names = {spec.name for spec in plan.processes}
    names |= {"controller"} if "broker" in names else set()
    return {name: port for name, port in plan.ports.items() if name in names}


class Daemon(subprocess.Popen[bytes]):
    """A process that outlives us on purpose: nobody waits for it, and its handle may go without a warning."""

    def __del__(self) -> None:
        """Leave it running."""


def require_nothing_running(var: Var) -> None:
    """Raise `UsageError` when a stack runs here; end what a killed supervisor left behind."""
    if supervisor_pid(var) is not None:
        raise UsageError(already_running(var))
    if stack := read_stack(var):
        end_orphans(stack)
        wait_until(lambda: not orphans(stack), STOP_SECONDS)


def choose_ports(wish: Wish) -> dict[str, int]:
    """Usual, wished or free ones. Raises `UsageError` for a port that is wished twice."""
    usual = usual_ports(wish.options)
    base = dict(zip(usual, free_ports(len(usual)), strict=True)) if wish.auto else usual
    ports = base | dict(wish.ports)
    names = {port: name for name, port in ports.items()}
    for name, port in ports.items():
        if names[port] != name:
            raise UsageError(f"port {port} is wished for both {name} and {names[port]}: choose another with --port")
    return ports


def start(var: Var, plan: Plan, *, limit_seconds: float, show: Callable[[Stack], None]) -> Stack:
    """Start the supervisor in a session of its own and wait until all is ready.

    Raises `FatalError` with the end of the culprit's log; the stack is stopped then.
    """
    var.state_file.unlink(missing_ok=True)
    write_atomically(var.plan_file, plan.model_dump_json(indent=2).encode())
    with var.log("supervisor").open("ab") as log:
        supervisor = Daemon(
            [sys.executable, "-m", "everloop.local.supervisor", str(var.plan_file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        return await_ready(var, supervisor, limit_seconds, show)
    except BaseException:
        stop(var)
        raise


def await_ready(
    var: Var, supervisor: subprocess.Popen[bytes], limit_seconds: float, show: Callable[[Stack], None]
) -> Stack:
    """Watch `stack.json` until every process is ready. Raises `FatalError`."""
    end = time.monotonic() + limit_seconds
    while time.monotonic() < end and supervisor.poll() is None:
        if stack := read_stack(var):
            show(stack)
            if all_fine(stack):
                return stack
            if guilty := culprit(stack):
                raise FatalError(story(guilty))
        time.sleep(POLL_SECONDS)
    raise FatalError(late(var, limit_seconds) if supervisor.poll() is None else crashed(var))


def story(process: ProcessState) -> str:
    """What went wrong with one process: the last lines of its log."""
    lines = "\n".join(f"  {line}" for line in tail(process.log, LOG_LINES))
    return f"{process.name} did not start (exit code {process.exit_code}); the end of {process.log}:\n{lines}"


def late(var: Var, limit_seconds: float) -> str:
    """Who is not ready yet when the time is over: the first that waits for nobody else."""
    stack = read_stack(var)
    slow = next((p for p in stack.processes if p.phase in {"starting", "restarting"}), None) if stack else None
    over = f"not ready within {limit_seconds:.0f} s (--timeout)"
    return f"{over}: {story(slow)}" if slow else over


def crashed(var: Var) -> str:
    """The supervisor itself ended."""
    return "the supervisor ended: " + " ".join(tail(var.log("supervisor"), 1))


def stop(var: Var, limit_seconds: float = STOP_SECONDS) -> bool:
    """Stop the stack that runs here, and what a killed supervisor left behind; False when there was nothing."""
    pid, stack = supervisor_pid(var), read_stack(var)
    left = bool(stack and end_orphans(stack)) if pid is None else False
    if pid is None:
        return left
    os.kill(pid, signal.SIGTERM)
    if not wait_until(lambda: supervisor_pid(var) is None, limit_seconds):
        end_group(pid)
        end_orphans(stack) if stack else None
    return True


def wait_until(condition: Callable[[], bool], limit_seconds: float) -> bool:
    """Poll until it holds; False when the time is over."""
    end = time.monotonic() + limit_seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True
