"""How a running stack is: what its supervisor says, and what each process answers now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module, util
from typing import TYPE_CHECKING, TypedDict, cast

from everloop.local.ready import is_ready
from everloop.local.spec import Plan

if TYPE_CHECKING:
    from everloop.local.paths import Var
    from everloop.local.spec import ProcessSpec
    from everloop.local.state import ProcessState, Stack

MODELS = "everloop.cli.models_status"


class Row(TypedDict):
    """One process; `uptime_seconds` and `memory_mb` (with its children) only while it runs."""

    name: str
    state: str
    pid: int | None
    uptime_seconds: float | None
    restarts: int
    port: int | None
    memory_mb: int | None
    log: str


def process_rows(var: Var, stack: Stack) -> list[Row]:
    """Ask every process at once whether it is ready."""
    plan = Plan.model_validate_json(var.plan_file.read_bytes())
    specs = {spec.name: spec for spec in plan.processes}
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda process: row(process, specs[process.name]), stack.processes))


def row(process: ProcessState, spec: ProcessSpec) -> Row:
    """Look at one process now. `not ready` is one that was, and does not say so any more."""
    honest = process.phase != "ready" or is_ready(spec.ready)
    up = (datetime.now(UTC) - process.started_at).total_seconds() if process.pid and process.started_at else None
    return Row(
        name=process.name,
        state=process.phase if honest else "not ready",
        pid=process.pid,
        uptime_seconds=None if up is None else round(up, 1),
        restarts=process.restarts,
        port=process.port,
        memory_mb=memory_mb(process.pid),
        log=str(process.log),
    )


def memory_mb(pid: int | None) -> int | None:
    """Resident memory of a process and all its children, in MiB; None when it does not run."""
    import psutil

    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) >> 20
    except psutil.Error:
        return None


def model_rows(stack: Stack) -> list[dict[str, object]]:
    """What `everloop.cli.models_status.models_status(stack)` says of each model; nothing where it is not installed."""
    if util.find_spec(MODELS) is None:
        return []
    return cast("list[dict[str, object]]", import_module(MODELS).models_status(stack))
