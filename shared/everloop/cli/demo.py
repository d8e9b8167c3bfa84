"""`everloop demo`: watch one turn of the loop on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everloop.cli.context import FailedError, guarded


def register(app: typer.Typer) -> None:
    """Add this command to the main application."""
    app.command()(demo)


@guarded
def demo(
    var: Annotated[
        Path | None, typer.Option("--var", metavar="DIR", help="Its own directory, emptied first (EVERLOOP_VAR/demo).")
    ] = None,
    without_concept_change: Annotated[bool, typer.Option("--without-concept-change", hidden=True)] = False,
) -> None:
    """Watch one turn of the loop: drift, training, gate, canary, promotion, and a bad candidate refused."""
    import os

    from rich.console import Console

    from everloop.demo.run import Demo
    from everloop.local.paths import var_directory

    root = var.expanduser().absolute() if var else var_directory(os.environ) / "demo"
    failed = Demo(root, Console(), concept_change=not without_concept_change).run()
    if failed:
        raise FailedError("the demo did not show what it has to: " + "; ".join(failed))
