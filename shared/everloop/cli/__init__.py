"""`everloop`: what a person runs. Commands load what they need when they are called, so that `--help` is instant."""

from __future__ import annotations

from importlib import import_module, util
from typing import Annotated

import typer

COMMANDS = (
    "demo", "local", "apply", "bootstrap", "replay", "train", "why", "events", "windows", "drift", "reports", "cycles",
    "books", "dlq", "archive", "snapshot",
)  # fmt: skip
"""Modules of this package with `register(app)`, in the order of the help; one that is not installed is left out."""


def build() -> typer.Typer:
    """The whole application. Neither its help nor its errors load `rich`."""
    app = typer.Typer(name="everloop", rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)
    app.callback()(_everloop)
    for name in COMMANDS:
        if util.find_spec(f"{__name__}.{name}") is not None:
            import_module(f"{__name__}.{name}").register(app)
    return app


def main() -> None:
    """Run it. Exit codes: 0 fine, 1 a condition failed, 2 wrong usage, 3 unreachable."""
    build()()


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("everloop"))
        raise typer.Exit


def _everloop(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Keep deployed models fit. Exit codes: 0 fine, 1 a condition failed, 2 wrong usage, 3 unreachable."""
    del version
