"""The broker's settings as a value, and as a `server.properties` file. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = "127.0.0.1"
MEBIBYTE = 1024 * 1024
FIXED: dict[str, str | int] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # One node: nothing can be replicated, and without these no consumer group ever gets a record.
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    # Small machine: these topics have 50 partitions each by default.
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 2,
    "num.network.threads": 2,
    "num.io.threads": 4,
    # With the default 9000 a start after kill -9 takes 12.5 s; with these 5.6 s.
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 500,
    # The first record of a new group comes after 0.15 s instead of 3.1 s; sessions of 6 s and less are allowed.
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    # A stack that was down for weeks must find its offsets again.
    "offsets.retention.minutes": 60 * 24 * 365,
    # Topics come from the registry, never by a typing error.
    "auto.create.topics.enable": "false",
    # Event time is in the payload; Kafka's own timestamps are append times (DESIGN section 3).
    "log.message.timestamp.type": "LogAppendTime",
    "message.max.bytes": 8 * MEBIBYTE,
    "replica.fetch.max.bytes": 8 * MEBIBYTE,
    # Small files: compaction and retention work on closed segments only.
    "log.segment.bytes": 32 * MEBIBYTE,
    "log.index.size.max.bytes": MEBIBYTE,
    "log.retention.check.interval.ms": 60_000,
    # 16 MB hold 600,000 keys; the default of 128 MB is half of our heap.
    "log.cleaner.enable": "true",
    "log.cleaner.threads": 1,
    "log.cleaner.dedupe.buffer.size": 16 * MEBIBYTE,
    "log.cleaner.backoff.ms": 15_000,
}


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """One local broker. `directory` is absolute; both ports are on loopback and differ; `heap_mb` in MiB."""

    directory: Path
    port: int
    controller_port: int
    heap_mb: int = 256

    @property
    def address(self) -> str:
        """What clients call the bootstrap address."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def properties_file(self) -> Path:
        """The rendered settings."""
        return self.directory / "server.properties"

    @property
    def data(self) -> Path:
        """The log directory: all records, and the cluster's metadata."""
        return self.directory / "data"


def render(settings: BrokerSettings) -> str:
    """Return the text of `server.properties`."""
    plain, control = (f"{LOOPBACK}:{port}" for port in (settings.port, settings.controller_port))
    own: dict[str, str | int] = {
        "listeners": f"PLAINTEXT://{plain},CONTROLLER://{control}",
        "advertised.listeners": f"PLAINTEXT://{plain}",
        "controller.quorum.voters": f"1@{control}",
        "log.dirs": escape(str(settings.data)),
    }
    return "".join(f"{key}={value}\n" for key, value in {**FIXED, **own}.items())


def escape(value: str) -> str:
    """Escape what a Java properties file would read otherwise."""
    return "".join(rf"\u{ord(char):04x}" if ord(char) > ord("~") else char for char in value.replace("\\", "\\\\"))
