"""`docs/openapi.yaml`: bodies and answers of the front door, as one OpenAPI document for machines."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from everloop.docs.text import yaml_text

NOTICE: Final = "# Written by `make docs` from the shapes that the front door reads by.\n"


def openapi_page() -> str:
    """The whole document."""
    return f"{NOTICE}{yaml_text(import_module('everloop_ingest.adapters.forms').document())}"
