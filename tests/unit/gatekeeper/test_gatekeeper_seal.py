"""Only a version that passed gets a signature, and the signature binds every word of its verdict."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from everloop.codec import decode, encode
from everloop.errors import InvalidError, UsageError
from everloop.events import VersionPassed
from everloop.signing import PrivateKey, generate, verify_verdict
from everloop_gatekeeper.adapters import private_key, sealer
from everloop_gatekeeper.handlers import decider
from everloop_gatekeeper.settings import GatekeeperSettings
from tests.builders import NOON, a_tick_at, a_version_passed


@pytest.fixture
def key(tmp_path: Path) -> PrivateKey:
    return generate(tmp_path / "gatekeeper.key")


def test_a_verdict_is_believed_after_it_was_on_the_log(key: PrivateKey) -> None:
    sealed = decider(sealer(key)).seal(a_version_passed("2", "1").model_copy(update={"sequence": 1}))
    read = decode(*encode(sealed, source="gatekeeper", recorded=NOON))
    assert isinstance(read, VersionPassed)
    assert read.verdict.key_id == key.id
    verify_verdict(key.public, read.verdict)


def test_the_same_verdict_has_the_same_signature(key: PrivateKey) -> None:
    passed = a_version_passed("2", "1")
    seal = sealer(key)
    assert seal(passed) == seal(passed) == seal(seal(passed))


@pytest.mark.parametrize(
    "change",
    [
        {"version": "3"},
        {"champion": None},
        {"model": "other"},
        {"features": {"amount": "categorical"}},
        {"task": "multiclass"},
        {"passed_at": NOON + timedelta(seconds=1)},
        {"signature": ""},
    ],
)
def test_any_change_breaks_the_signature(key: PrivateKey, change: dict[str, object]) -> None:
    sealed = sealer(key)(a_version_passed("2", "1"))
    assert isinstance(sealed, VersionPassed)
    with pytest.raises(InvalidError) as refusal:
        verify_verdict(key.public, sealed.verdict.model_copy(update=change))
    assert refusal.value.reason == "bad_signature"


def test_another_key_is_not_believed(key: PrivateKey, tmp_path: Path) -> None:
    sealed = sealer(generate(tmp_path / "other.key"))(a_version_passed("2", "1"))
    assert isinstance(sealed, VersionPassed)
    with pytest.raises(InvalidError):
        verify_verdict(key.public, sealed.verdict)


def test_other_events_stay_as_they_are(key: PrivateKey) -> None:
    tick = a_tick_at(NOON)
    assert sealer(key)(tick) is tick


def test_the_key_is_read_from_the_file_that_settings_name(key: PrivateKey, tmp_path: Path) -> None:
    assert private_key(GatekeeperSettings(key=tmp_path / "gatekeeper.key")).id == key.id
    with pytest.raises(UsageError, match="EVERLOOP_KEY"):
        private_key(GatekeeperSettings())
