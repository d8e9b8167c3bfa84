"""What a service is told, and how it says that it was told wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from everloop.errors import UsageError
from everloop.settings import ServiceSettings, is_loopback


class _WithSecret(ServiceSettings):
    token: SecretStr = Field(default=SecretStr(""), min_length=8, description="Token, at least 8 characters")


def test_variables_are_fields_with_a_prefix() -> None:
    settings = ServiceSettings.from_environment(
        {"EVERLOOP_BROKER": "127.0.0.1:9092", "EVERLOOP_VAR": "/v", "EVERLOOP_HTTP_PORT": "18001", "PATH": "/bin"}
    )
    assert (settings.broker, settings.http_port, settings.artifacts) == ("127.0.0.1:9092", 18001, Path("/v/artifacts"))


def test_an_empty_variable_is_not_set() -> None:
    assert ServiceSettings.from_environment({"EVERLOOP_BROKER": ""}).broker == "127.0.0.1:19092"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("EVERLOOP_HTTP_PORT", "65536", "less than or equal to 65535"),
        ("EVERLOOP_HTTP_PORT", "hunter2", "valid integer"),
        ("EVERLOOP_BROKER", "hunter2", "HOST:PORT"),
        ("EVERLOOP_BROKER", "127.0.0.1:1,hunter2:9092", "not encrypted"),
        ("EVERLOOP_BROKER", "10.0.0.7:9092", "not encrypted"),
        ("EVERLOOP_MLFLOW", "https://me:hunter2@host", "password"),
        ("EVERLOOP_INGEST", "file:///hunter2", "http://"),
        ("EVERLOOP_REPLICA", "hunter2\n", "pattern"),
    ],
)
def test_an_error_names_variable_and_rule_but_no_value(name: str, value: str, rule: str) -> None:
    with pytest.raises(UsageError) as refusal:
        ServiceSettings.from_environment({name: value})
    assert name in str(refusal.value)
    assert rule in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_secrets_show_nowhere() -> None:
    settings = _WithSecret.from_environment({"EVERLOOP_TOKEN": "hunter2hunter2"})
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"
    with pytest.raises(UsageError) as refusal:
        _WithSecret.from_environment({"EVERLOOP_TOKEN": "hunter2"})
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost.example", "192.168.0.1", "kafka", "::"])  # noqa: S104 -- refused
def test_any_other_machine(host: str) -> None:
    assert not is_loopback(host)
