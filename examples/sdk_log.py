"""Tell Everloop, from Python, of predictions that your own server has made, and of the labels that come later.

python examples/sdk_log.py [--target URL or HOST:PORT of Kafka]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from everloop.client import Client

SPILL = Path(tempfile.gettempdir(), "everloop-spill")


def connect(target: str) -> Client:
    """One client for the whole process. What cannot be sent waits in the folder `spill`."""
    return Client(target, model="fraud", version="1", spill=SPILL)


def log(client: Client) -> None:
    """Each call returns at once; a thread in the background sends."""
    ids = client.log_predictions(
        [{"amount": 12.5, "country": "CH"}, {"amount": 80.0, "country": "DE"}],
        score=[0.11, 0.34],
        entity_id=["card-7", "card-9"],
    )
    client.log_labels(ids, [0, 1])


def main() -> None:
    """Log two predictions and their labels, and say what has become of them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--target", default="http://127.0.0.1:18000", help="see `everloop status`")
    with connect(options.parse_args().target) as client:
        log(client)
    print(client.stats())


if __name__ == "__main__":
    main()
