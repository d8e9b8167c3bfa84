"""Fake processes and small plans, so that the supervisor is tested without a broker and without services."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from everloop.local.lifecycle import start, stop, wait_until
from everloop.local.paths import Var
from everloop.local.ports import free_ports
from everloop.local.spec import Plan, ProcessSpec
from everloop.local.state import ProcessState, Stack, read_stack

SERVER = """
import http.server, os, pathlib, signal, subprocess, sys
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "parent" in sys.argv:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(os.environ["CHILDREN"], "a") as file:
        print(child.pid, file=file)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
print("fake listens", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["EVERLOOP_HTTP_PORT"])), Handler).serve_forever()
"""
LIMIT_SECONDS = 30.0


def a_var(directory: Path) -> Var:
    var = Var(directory / "var")
    var.make()
    return var


def a_server(var: Var, *manners: str, name: str = "fake", depends_on: tuple[str, ...] = ()) -> ProcessSpec:
    """Answers /readyz. `deaf` ignores SIGTERM; `parent` has a child and appends its pid to `var/children`."""
    (port,) = free_ports(1)
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-c", SERVER, *manners),
        env={"EVERLOOP_HTTP_PORT": str(port), "CHILDREN": str(var.root / "children")},
        log_path=var.log(name),
        port=port,
        ready=f"http://127.0.0.1:{port}/readyz",
        depends_on=depends_on,
    )


def a_script(var: Var, text: str, *, name: str = "script", once: bool = False) -> ProcessSpec:
    return ProcessSpec(name=name, argv=(sys.executable, "-c", text), log_path=var.log(name), once=once, ready="")


def a_plan(var: Var, *processes: ProcessSpec) -> Plan:
    return Plan(var=var.root, broker="127.0.0.1:9", processes=processes, stop_seconds=0.5)


def started(var: Var, *processes: ProcessSpec) -> Stack:
    return start(var, a_plan(var, *processes), limit_seconds=LIMIT_SECONDS, show=lambda _: None)


@contextmanager
def a_running_stack(var: Var, *processes: ProcessSpec) -> Iterator[Stack]:
    stack = started(var, *processes)
    try:
        yield stack
    finally:
        stop(var)


def seen(var: Var, name: str) -> ProcessState:
    stack = read_stack(var)
    assert stack is not None
    return stack.process(name)


def eventually_restarted(var: Var, name: str, restarts: int) -> ProcessState:
    """Wait until a process is ready again after that many restarts."""
    assert wait_until(
        lambda: (now := seen(var, name)).phase == "ready" and now.restarts == restarts and now.pid is not None,
        LIMIT_SECONDS,
    ), seen(var, name)
    return seen(var, name)
