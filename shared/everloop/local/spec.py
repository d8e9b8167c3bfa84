"""What the supervisor is told to run. Values only."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ProcessSpec(BaseModel):
    """One process. It starts when all of `depends_on` are ready.

    `ready` is `http://…` (a GET answers 200), `kafka://HOST:PORT` (a metadata round trip works), or empty (ready as
    soon as it runs). A process that runs `once` is ready when it has ended with 0, and is not started again.
    `env` is added to the supervisor's own environment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    argv: tuple[str, ...] = Field(min_length=1)
    log_path: Path
    env: dict[str, str] = {}
    port: int | None = None
    ready: str = ""
    depends_on: tuple[str, ...] = ()
    once: bool = False


class Plan(BaseModel):
    """One stack. `ports` by name; `broker`, `urls` and the file of clear `tokens` are what clients need to know.

    A process has `stop_seconds` to end when it is asked to, then it is killed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    var: Path
    broker: str
    urls: dict[str, str] = {}
    ports: dict[str, int] = {}
    tokens: Path | None = None
    stop_seconds: float = Field(default=10.0, gt=0)
    processes: tuple[ProcessSpec, ...]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        """Each process comes after those that it depends on: the list is the order of starting."""
        known: set[str] = set()
        for spec in self.processes:
            if missing := set(spec.depends_on) - known:
                raise ValueError(f"{spec.name} depends on {sorted(missing)}, which must come before it")
            if spec.name in known:
                raise ValueError(f"two processes are called {spec.name}")
            known.add(spec.name)
        return self


def stop_order(processes: tuple[ProcessSpec, ...]) -> list[list[str]]:
    """Reverse of the start: groups of names that may end together, those that nobody depends on first."""
    depth: dict[str, int] = {}
    for spec in processes:
        depth[spec.name] = 1 + max((depth[name] for name in spec.depends_on), default=-1)
    return [[name for name, at in depth.items() if at == level] for level in sorted(set(depth.values()), reverse=True)]


def only(processes: tuple[ProcessSpec, ...], wanted: set[str]) -> tuple[ProcessSpec, ...]:
    """Return the wanted processes and all that they depend on, in the same order."""
    needed = set(wanted)
    for spec in reversed(processes):
        if spec.name in needed:
            needed |= set(spec.depends_on)
    return tuple(spec for spec in processes if spec.name in needed)
