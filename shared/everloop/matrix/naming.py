"""The builder that a setting names: who makes matrices where it is not this machine."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import cast

from everloop.errors import UsageError
from everloop.matrix.building import LocalBuilder
from everloop.matrix.ports import MatrixBuilder


def builder_of(path: str | None) -> MatrixBuilder:
    """Make the class `package.module:Class`, without arguments; without a path the builder of this machine.

    Raises `UsageError` where it cannot be imported or does not build.
    """
    if path is None:
        return LocalBuilder()
    module, _, name = path.partition(":")
    try:
        made = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"EVERLOOP_MATRIX names {path}, which cannot be imported ({type(error).__name__}): install its package "
            "where trainer and gatekeeper run, or correct the name"
        ) from error
    if not inspect.isclass(made) or not callable(getattr(made, "build", None)):
        raise UsageError(f"EVERLOOP_MATRIX names {path}, which is no class with a method `build`")
    return cast("MatrixBuilder", made())
