"""`python -m compose.write`: write what is generated below `compose/`, in the repository that it is run in."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import orjson

from compose.dashboard import dashboard
from everloop.local.properties import BrokerSettings, render
from everloop.local.stack import INFRASTRUCTURE_PORTS

KAFKA = Path("/var/lib/kafka")
NOTE = "# Generated from everloop/local/properties.py by `python -m compose.write`. Do not edit: a test compares.\n"


def files() -> Mapping[str, str]:
    """Every generated file by its path from the root of the repository."""
    broker = BrokerSettings(KAFKA, INFRASTRUCTURE_PORTS["broker"], INFRASTRUCTURE_PORTS["controller"])
    page = orjson.dumps(dashboard(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    return {
        "compose/kafka/server.properties": NOTE + render(broker),
        "compose/grafana/dashboards/everloop.json": page,
    }


def main(root: Path) -> None:
    """Write each file below `root`."""
    for name, text in files().items():
        (root / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name}: {len(text.splitlines())} lines\n")


if __name__ == "__main__":
    main(Path.cwd())
