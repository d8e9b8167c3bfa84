"""`everloop up`, `down`, `status`, `logs`, `doctor`, `tokens`: the stack on this machine."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from everloop.errors import EverloopError, UsageError

if TYPE_CHECKING:
    from everloop.local.doctor import Finding
    from everloop.local.lifecycle import Wish
    from everloop.local.paths import Var
    from everloop.local.state import Stack
    from everloop.local.status import Row

P = ParamSpec("P")
VarOption = Annotated[
    Path | None, typer.Option("--var", metavar="DIR", help="State directory (EVERLOOP_VAR, else ./var).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the main application."""
    for command in (up, down, status, logs, doctor, tokens):
        app.command()(command)


def one_line(command: Callable[P, None]) -> Callable[P, None]:
    """Say what went wrong in one line: exit code 2 for what a person can put right, 1 for all else."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except EverloopError as error:
            typer.echo(f"everloop: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, UsageError) else 1) from error
        except OSError as error:
            from everloop.local.paths import explain

            typer.echo(f"everloop: {explain(error, Path(error.filename or '.'))}", err=True)
            raise typer.Exit(2) from error
        except ModuleNotFoundError as error:
            typer.echo(f"everloop: the package {error.name} is not installed: run `make setup`", err=True)
            raise typer.Exit(2) from error

    return run


@one_line
def up(  # noqa: PLR0913, PLR0917 - one parameter per option
    var: VarOption = None,
    broker: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Use a Kafka that exists.")] = None,
    ports: Annotated[str, typer.Option(help="`fixed`: the usual ones; `auto`: free ones.")] = "fixed",
    port: Annotated[
        list[str] | None, typer.Option(metavar="NAME=NUMBER", help="Another port, e.g. mlflow=5000.")
    ] = None,
    replicas: Annotated[list[str] | None, typer.Option(metavar="NAME=NUMBER", help="e.g. trainer=2.")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this and what it depends on.")] = None,
    with_tokens: Annotated[bool, typer.Option("--tokens", help="HTTP requests must show a token.")] = False,
    probe: Annotated[
        str, typer.Option(metavar="DURATION", help="How often drift's own probe drifts, in whole minutes; 0s: never.")
    ] = "0s",
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and stop the stack on Ctrl-C.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds until everything must be ready.")] = 180,
) -> None:
    """Start Kafka, MLflow and all services, and wait until they are ready."""
    from rich.console import Console

    from everloop.local.lifecycle import make_plan, start
    from everloop.local.progress import display, fetched

    if foreground:  # from now on, so that a service manager can also stop a start
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    place, console = _var(var), Console()
    wish = _wish(place, broker, ports, port or [], replicas or [], only or [])
    wish = replace(wish, options=replace(wish.options, tokens=with_tokens, probe=_probe(probe)))
    plan = make_plan(place, wish, fetched(console))
    with display(console) as show:
        stack = start(place, plan, limit_seconds=timeout, show=show)
    _say_addresses(stack)
    for name in sorted(wish.options.without):
        typer.echo(f"{name} is not started: its extra is not installed (see the README); nothing waits for it")
    if foreground:
        _stay(place)


@one_line
def down(var: VarOption = None) -> None:
    """Stop everything; the data stays."""
    from everloop.local.lifecycle import stop

    place = _var(var)
    if not stop(place):
        raise UsageError(f"nothing is running in {place.root}: name another with --var DIR")
    typer.echo("stopped")


@one_line
def status(var: VarOption = None, json: JsonOption = False) -> None:
    """Show each process: state, pid, uptime, restarts, port, memory. Exit code 1 when one is not well."""
    from everloop.local.state import FINE, running
    from everloop.local.status import model_rows, process_rows

    place = _var(var)
    stack = running(place)
    rows, models = process_rows(place, stack), model_rows(stack)
    if json:
        shown = stack.model_dump(mode="json", exclude={"processes"})
        _print_json({**shown, "processes": rows, "models": models})
    else:
        _print_rows(rows)
        for model in models:
            typer.echo("  ".join(f"{key}: {_plain(value)}" for key, value in model.items() if value))
    if any(row["state"] not in FINE for row in rows):
        raise typer.Exit(1)


@one_line
def logs(
    name: Annotated[str | None, typer.Argument(help="A process, as `everloop status` names it; all without.")] = None,
    var: VarOption = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
) -> None:
    """Show the last lines of a process's log."""
    from everloop.local import logs as files

    place = _var(var)
    known = list(place.log_names())
    if name is not None and name not in known:
        raise UsageError(f"no log of {name!r} in {place.logs}; there is: {', '.join(known) or 'none yet'}")
    if follow and name is None:
        raise UsageError("--follow needs the name of one process: everloop logs --follow NAME")
    for each in [name] if name else known:
        if name is None:
            typer.echo(f"── {each}")
        for line in files.tail(place.log(each), lines):
            typer.echo(line)
    if follow and name:
        _follow(place.log(name))


@one_line
def doctor(var: VarOption = None, json: JsonOption = False) -> None:
    """Look for what is missing or wrong on this machine, with the command that mends it."""
    from everloop.local.doctor import examine
    from everloop.local.paths import cache_directory
    from everloop.local.stack import Options, usual_ports

    place = _var(var)
    findings = examine(place, cache_directory(os.environ), usual_ports(Options(place.root, sys.executable)))
    _print_json(findings) if json else _print_findings(findings)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@one_line
def tokens(
    var: VarOption = None,
    change: Annotated[
        str | None, typer.Option("--replace", metavar="ROLE", help="A new token; twice: the old one ends.")
    ] = None,
) -> None:
    """Make the stack's tokens where there are none, or a new one for a role. Running services see it at once."""
    from everloop.local.tokens import ensure_tokens, replace_token
    from everloop.tokens import ROLES

    place = _var(var)
    role = next((known for known in ROLES if known == change), None)
    if change and role is None:
        raise UsageError(f"--replace: one of {', '.join(ROLES)}")
    place.make()
    hashes, clear = ensure_tokens(place.keys)
    if role:
        replace_token(place.keys, role)
    typer.echo(f"for services, EVERLOOP_TOKENS: {hashes}\nfor callers on this machine: {clear}")


def _var(chosen: Path | None) -> Var:
    from everloop.local.paths import Var, var_directory

    return Var(var_directory(os.environ, chosen))


def _wish(place: Var, broker: str | None, ports: str, port: list[str], replicas: list[str], only: list[str]) -> Wish:
    from everloop.local.lifecycle import Wish
    from everloop.local.paths import cache_directory
    from everloop.local.ports import LARGEST, parse_assignments
    from everloop.local.stack import MOST_REPLICAS, SERVICE_NAMES, Options, lacking, process_names, usual_ports

    if ports not in {"fixed", "auto"}:
        raise UsageError(f"--ports {ports}: one of fixed, auto")
    counts = parse_assignments(replicas, "--replicas", SERVICE_NAMES, MOST_REPLICAS)
    without = lacking(lambda package: find_spec(package) is not None)
    options = Options(place.root, sys.executable, broker, counts, frozenset(only), without=without)
    if unknown := sorted(options.only - set(process_names(options))):
        raise UsageError(f"--only {unknown[0]}: one of {', '.join(process_names(options))}")
    chosen = parse_assignments(port, "--port", tuple(usual_ports(options)), LARGEST)
    return Wish(options, cache_directory(os.environ), chosen, auto=ports == "auto")


def _probe(text: str) -> str:
    """The period, checked before anything is started; drift itself has the same rule. Raises `UsageError`."""
    from everloop.durations import UNITS, RuleError, parse_duration

    with suppress(RuleError):
        period = parse_duration(text)
        if period <= UNITS["d"] and not period % UNITS["m"]:
            return text
    raise UsageError(f"--probe {text}: a duration in whole minutes up to a day, such as 5m, or 0s")


def _say_addresses(stack: Stack) -> None:
    names = {process.name for process in stack.processes}
    for name, url in {"kafka": stack.broker, **stack.urls}.items():
        if name == "kafka" or name in names:
            typer.echo(f"{name:8} {url}")
    if stack.tokens:
        typer.echo(f"tokens   {stack.tokens}")
    typer.echo("stop it with: everloop down" + ("" if stack.var == Path.cwd() / "var" else f" --var {stack.var}"))


def _stay(place: Var) -> None:
    """Wait for Ctrl-C, SIGTERM or the end of the supervisor; then stop the stack."""
    from everloop.errors import FatalError
    from everloop.local.lifecycle import stop
    from everloop.local.state import supervisor_pid

    try:
        while supervisor_pid(place) is not None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        stop(place)
        return
    raise FatalError(f"the stack was stopped from elsewhere, or its supervisor ended: see {place.log('supervisor')}")


def _follow(path: Path) -> None:
    from everloop.local.logs import follow

    try:
        for text in follow(path, lambda: time.sleep(0.2)):
            typer.echo(text, nl=False)
    except KeyboardInterrupt:
        return


def _print_json(value: object) -> None:
    import orjson

    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _print_rows(rows: list[Row]) -> None:
    typer.echo(f"{'PROCESS':15} {'STATE':11} {'PID':>8} {'UP':>8} {'RESTARTS':>8} {'PORT':>6} {'MB':>5}")
    for row in rows:
        uptime = _duration(row["uptime_seconds"])
        cells = (row["pid"] or "-", uptime, row["restarts"], row["port"] or "-", row["memory_mb"] or "-")
        pid, time_up, restarts, port, memory = map(str, cells)
        typer.echo(f"{row['name']:15} {row['state']:11} {pid:>8} {time_up:>8} {restarts:>8} {port:>6} {memory:>5}")


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _print_findings(findings: list[Finding]) -> None:
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.check:16} {finding.found}")
        if not finding.ok:
            typer.echo(f"     {'':16} mend it with: {finding.fix}")
