"""The peer of single rows: `python -m benchmarks.drift.faust_peer ADDRESS GROUP`, a plain Faust agent.

Faust with its own transport, its own loop and its own commits. The agent decodes each record with orjson, and that is
all it does.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from typing import Any

import faust
import orjson

from everloop import topics


def main(address: str, group: str) -> None:
    """Decode until a signal."""
    with tempfile.TemporaryDirectory() as scratch:
        app = faust.App(
            group, broker=f"kafka://{address}", datadir=scratch, store="memory://", web_enabled=False,
            consumer_auto_offset_reset="earliest", topic_allow_declare=False, topic_disable_leader=True,
        )  # fmt: skip
        app.agent(app.topic(topics.PREDICTIONS.name, value_serializer="raw"), concurrency=1)(decode)
        faust.Worker(app, loglevel=logging.WARNING, redirect_stdouts=False, quiet=True).execute_from_commandline()


async def decode(stream: Any) -> None:  # noqa: ANN401 -- Faust types streams by their values
    """Every record."""
    async for value in stream:
        orjson.loads(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
