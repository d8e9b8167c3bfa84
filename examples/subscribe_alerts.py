"""Hear every alert as it comes, from Kafka: one sentence each. Feed it to a chat, a pager, a ticket.

python examples/subscribe_alerts.py [--broker HOST:PORT] [--most N]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from itertools import islice
from typing import Protocol

from kafka import KafkaConsumer

TOPIC = "everloop.alerts.v1"


class Alert(Protocol):
    """A record, as a consumer of kafka-python gives it."""

    @property
    def headers(self) -> Iterable[tuple[str, bytes]]:
        """The CloudEvent's attributes."""

    @property
    def value(self) -> bytes:
        """Its data."""


def sentence(alert: Alert) -> str:
    """Severity, name and sentence. `ce_id` is the same when an alert comes again: remember it to say each once."""
    attributes, data = dict(alert.headers), json.loads(alert.value)
    return f"{attributes['ce_time'].decode()} {data['severity']:7} {data['name']}: {data['summary']}"


def main() -> None:
    """Print alerts until Ctrl-C; the group remembers how far it has read."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--broker", default="127.0.0.1:19092", help="see `everloop status`")
    options.add_argument("--most", type=int, help="end after so many")
    given = options.parse_args()
    consumer = KafkaConsumer(
        TOPIC, bootstrap_servers=given.broker, group_id="alerts-to-terminal", auto_offset_reset="earliest"
    )
    for alert in islice(consumer, given.most):
        print(sentence(alert), flush=True)
    consumer.close()


if __name__ == "__main__":
    main()
