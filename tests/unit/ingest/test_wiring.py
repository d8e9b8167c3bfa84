"""Ingest's tables agree with the registry of topics and with its rooms; its settings say what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop import topics
from everloop.errors import UsageError
from everloop.hosting import Health
from everloop.matrix import ports
from everloop.runtime.data import Lingering
from everloop_ingest.__main__ import main
from everloop_ingest.app import folds
from everloop_ingest.domain.archiving import FEATURE
from everloop_ingest.handlers import BROADCASTS, HEARS, SAYS
from everloop_ingest.settings import Settings


def test_the_tables_agree_with_the_registry() -> None:
    said = {topic.name for table in SAYS.values() for topic in table}
    heard = {topic.name for table in (*HEARS.values(), *BROADCASTS.values()) for topic in table}
    registry = topics.TOPICS.values()
    assert said == {topic.name for topic in registry if "ingest" in topic.producers} - {topics.ALERTS.name}
    restored = {topics.BOOKS.name}  # read when a room is assigned, not listened to
    assert heard | restored == {topic.name for topic in registry if "ingest" in topic.consumers}


def test_features_have_the_prefix_that_training_reads() -> None:
    assert FEATURE == ports.FEATURE


def test_the_rooms_agree_with_the_tables(tmp_path: Path) -> None:
    rooms = folds(Settings(var=tmp_path), Health())
    assert {room.name: room.hears for room in rooms} == {
        name: tuple(topic.name for topic in table) for name, table in HEARS.items()
    }
    for room in rooms:
        assert room.broadcasts == tuple(topic.name for topic in BROADCASTS.get(room.name, ()))
    assert [room.name for room in rooms if isinstance(room, Lingering)] == ["ingest.archive"]


def test_settings_have_bounds() -> None:
    assert Settings.from_environment({"EVERLOOP_LINGER_S": "0.5"}).linger_s == 0.5
    with pytest.raises(UsageError, match=r"EVERLOOP_LINGER_S .*in seconds, 0 to 3600"):
        Settings.from_environment({"EVERLOOP_LINGER_S": "-1"})


def test_the_command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["windows"]) == 2
    monkeypatch.setenv("EVERLOOP_BROKER", "hunter2")
    assert main(["door"]) == 2
    errors = capsys.readouterr().err
    assert "door|worker" in errors
    assert "EVERLOOP_BROKER is not HOST:PORT" in errors
    assert "hunter2" not in errors
