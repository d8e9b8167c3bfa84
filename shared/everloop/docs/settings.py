"""`docs/settings.md`: every setting of every service, and what the command line reads from the environment."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module, util
from typing import Any

from everloop.docs.text import page, table
from everloop.settings import ServiceSettings, variable
from everloop.tokens import ROLES, variable_of
from everloop.topics import ALL

INTRODUCTION = """\
A service is told everything through its environment, once, at its start; `everloop up` sets all of it. An error names
the variable, the rule and the fix, and never the value. Rules of a model are not settings: they are in its loop file,
whose every key is shown with its default in [`loops/full.yaml`](../loops/full.yaml) and described by [its
schema](schema/loop.v1.json)."""
COMMAND_LINE = (
    ("EVERLOOP_VAR", "Directory of state of the local stack; `./var` when it is not set"),
    ("EVERLOOP_BROKER", "The Kafka that a command talks to, HOST:PORT; that of the running stack when it is not set"),
    ("EVERLOOP_INGEST", "Ingest's address for `everloop bootstrap`; that of the running stack when it is not set"),
    ("EVERLOOP_CACHE", "Directory of what is made once: the broker's jars, the empty database of MLflow"),
    *(
        (variable_of(role), f"Clear token of the role `{role}`; that of the running stack when none is set")
        for role in ROLES
    ),
)
"""Variables of the command line, which are options as well."""


def settings_page() -> str:
    """The whole page."""
    own = [section for service in ALL if (section := _service(service))]
    shared = table(HEAD, _rows(ServiceSettings, ServiceSettings.model_fields))
    line = table(("variable", "meaning"), ((f"`{name}`", meaning) for name, meaning in COMMAND_LINE))
    parts = ("## Every service", shared, *own, "## The command line", line)
    return page("Settings", INTRODUCTION, *parts)


HEAD = ("variable", "default", "meaning")


def _service(name: str) -> str:
    """What one service is told beyond the common settings; found by name, since `everloop` imports no service."""
    own = [kind for kind in classes(name) if set(kind.model_fields) - set(ServiceSettings.model_fields)]
    fields = [(kind, [one for one in kind.model_fields if one not in ServiceSettings.model_fields]) for kind in own]
    return "\n\n".join([f"## {name}", *(table(HEAD, _rows(kind, names)) for kind, names in fields)]) if fields else ""


def classes(service: str) -> list[type[ServiceSettings]]:
    """The settings that a service declares, by name; none while it has no module of settings."""
    module = f"everloop_{service}.settings"
    if util.find_spec(f"everloop_{service}") is None or util.find_spec(module) is None:
        return []
    found: dict[str, Any] = vars(import_module(module))
    return [
        one for _, one in sorted(found.items())
        if isinstance(one, type) and issubclass(one, ServiceSettings) and one.__module__ == module
    ]  # fmt: skip


def _rows(kind: type[ServiceSettings], names: Iterable[str]) -> Iterable[tuple[str, str, str]]:
    for name in names:
        info = kind.model_fields[name]
        default = "not set" if info.default is None else "required" if info.is_required() else f"`{info.default}`"
        yield f"`{variable(name)}`", default, info.description or ""
