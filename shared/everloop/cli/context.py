"""How a command reaches the log, and how it ends: one line on standard error instead of a traceback."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from everloop.errors import EverloopError, FatalError, UsageError

if TYPE_CHECKING:
    from everloop.runtime.log import Log

P = ParamSpec("P")
FAILED, USAGE, UNREACHABLE = 1, 2, 3
SESSION = "everloop.session"
PAUSE_S = 0.2
BrokerOption = Annotated[
    str | None,
    typer.Option("--broker", envvar="EVERLOOP_BROKER", metavar="HOST:PORT", help="The Kafka; else that of the stack."),
]
VarOption = Annotated[
    Path | None, typer.Option("--var", metavar="DIR", help="State directory of the stack (EVERLOOP_VAR, else ./var).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelOption = Annotated[str | None, typer.Option("--model", "-m", metavar="MODEL", help="Only this model.")]


class UnreachableError(FatalError):
    """No log answers."""


class FailedError(EverloopError):
    """The condition that the exit code stands for does not hold."""


Connect = Callable[[str | None, Path | None], AbstractContextManager["Log"]]


@contextmanager
def connect(broker: str | None, var: Path | None) -> Iterator[Log]:
    """Connect to the named broker, else to that of the stack in `var`. Raises `UnreachableError`."""
    address = broker or stack_broker(var)
    with open_log(address) as log:
        yield log


@contextmanager
def open_log(address: str) -> Iterator[Log]:
    """Connect to the Kafka at `address`, and close the connection. Raises `UnreachableError`."""
    import logging

    from kafka.errors import KafkaError

    from everloop.local.broker import answers
    from everloop.runtime.kafka_log import KafkaLog

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what goes wrong is said once, by us
    nobody = UnreachableError(f"no Kafka answers at {address}: look with `everloop status`, or name one with --broker")
    try:
        if not answers(address):
            raise nobody
        log = KafkaLog(address, client_id="everloop-cli")
    except (KafkaError, OSError, ValueError) as error:
        raise nobody from error
    try:
        yield log
    finally:
        log.close()


def stack_broker(var: Path | None) -> str:
    """The broker's address in `var/run/stack.json`. Raises `UnreachableError` where no stack has left one."""
    from everloop.local.paths import Var, var_directory
    from everloop.local.state import read_stack

    place = Var(var_directory(os.environ, var))
    stack = read_stack(place)
    if stack is None:
        raise UnreachableError(
            f"no stack in {place.root}: start one with `everloop up`, or name a Kafka with --broker HOST:PORT"
        )
    return stack.broker


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Session:
    """The outside of a command: the log, the machine's clock, and the pause between two looks of `--follow`."""

    connect: Connect = connect
    wall: Callable[[], datetime] = utc_now
    pause: Callable[[], None] = lambda: time.sleep(PAUSE_S)


def session_of(context: typer.Context) -> Session:
    """The session that was handed in under `SESSION`, else the real one."""
    found = (context.obj or {}).get(SESSION)
    return found if isinstance(found, Session) else Session()


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """End with the exit code of what went wrong, and say it on standard error."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except EverloopError as error:
            in_a_file = hasattr(error, "problems")  # then each line starts with file:line, which editors open
            typer.echo(str(error) if in_a_file else f"everloop: {error}", err=True)
            raise typer.Exit(exit_code(error)) from None
        except ModuleNotFoundError as error:
            typer.echo(f"everloop: the package {error.name} is not installed: run `make setup`", err=True)
            raise typer.Exit(USAGE) from None
        except KeyboardInterrupt:
            return

    return run


def exit_code(error: EverloopError) -> int:
    """2 for what a person can put right, 3 for a log that does not answer, 1 for all else."""
    if isinstance(error, UsageError):
        return USAGE
    return UNREACHABLE if isinstance(error, FatalError) else FAILED
