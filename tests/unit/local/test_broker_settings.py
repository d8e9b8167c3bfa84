"""The broker's settings: what must hold for a single node on loopback."""

from __future__ import annotations

from pathlib import Path

from everloop.local.properties import BrokerSettings, render


def rendered(directory: str = "/somewhere/kafka") -> dict[str, str]:
    text = render(BrokerSettings(Path(directory), port=19092, controller_port=19093))
    return dict(line.split("=", 1) for line in text.splitlines())


def test_all_listeners_are_on_loopback() -> None:
    found = rendered()
    assert found["listeners"] == "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093"
    assert found["advertised.listeners"] == "PLAINTEXT://127.0.0.1:19092"
    assert found["controller.quorum.voters"] == "1@127.0.0.1:19093"


def test_one_node_replicates_nothing() -> None:
    factors = {key: value for key, value in rendered().items() if key.endswith((".replication.factor", ".min.isr"))}
    assert len(factors) == 6
    assert set(factors.values()) == {"1"}


def test_short_sessions_large_messages_and_quick_returns() -> None:
    found = rendered()
    assert int(found["group.min.session.timeout.ms"]) <= 6_000
    assert found["message.max.bytes"] == str(8 * 1024 * 1024)
    assert found["broker.session.timeout.ms"] == "3000"
    assert found["group.initial.rebalance.delay.ms"] == "0"
    assert found["auto.create.topics.enable"] == "false"


def test_the_cleaner_fits_into_a_quarter_of_the_heap() -> None:
    heap = BrokerSettings(Path("/"), 1, 2).heap_mb * 1024 * 1024
    assert int(rendered()["log.cleaner.dedupe.buffer.size"]) * 4 <= heap


def test_a_directory_with_odd_letters_is_escaped() -> None:
    assert rendered("/tmp/año\\x")["log.dirs"] == r"/tmp/a\u00f1o\\x/data"  # noqa: S108 - nothing is written there
