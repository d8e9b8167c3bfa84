"""A signature binds every byte of a payload; a key file that others may read is refused."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from everloop.errors import InvalidError, UsageError
from everloop.signing import JSON, PrivateKey, canonical, generate, load_private, load_public, public_of, sign, verify

VERDICT: dict[str, JSON] = {
    "model": "fraud",
    "version": 7,
    "digest": "ab" * 32,
    "checks": [{"name": "floor", "ok": True}],
}


@pytest.fixture
def key(tmp_path: Path) -> PrivateKey:
    return generate(tmp_path / "gatekeeper.pem")


def test_a_signature_is_accepted_after_a_round_through_the_files(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.pem"
    generate(path)
    private, public = load_private(path), load_public(public_of(path))
    assert private.id == public.id
    verify(public, VERDICT, sign(private, VERDICT))


def test_the_order_of_keys_does_not_matter(key: PrivateKey) -> None:
    turned = dict(reversed(VERDICT.items()))
    assert canonical(turned) == canonical(VERDICT)
    assert sign(key, turned) == sign(key, VERDICT)


@pytest.mark.parametrize("change", [{"version": 8}, {"digest": "ac" * 32}, {"checks": []}, {"extra": None}])
def test_any_change_of_the_payload_is_refused(key: PrivateKey, change: dict[str, JSON]) -> None:
    signature = sign(key, VERDICT)
    with pytest.raises(InvalidError, match=key.id) as refusal:
        verify(key.public, {**VERDICT, **change}, signature)
    assert refusal.value.reason == "bad_signature"


@pytest.mark.parametrize("signature", ["", "not base64!", "AAAA", "é"])
def test_what_is_no_signature_is_refused(key: PrivateKey, signature: str) -> None:
    with pytest.raises(InvalidError):
        verify(key.public, VERDICT, signature)


def test_the_signature_of_another_key_is_refused(key: PrivateKey, tmp_path: Path) -> None:
    other = generate(tmp_path / "other.pem")
    with pytest.raises(InvalidError):
        verify(key.public, VERDICT, sign(other, VERDICT))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_private_key_that_others_may_use_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "gatekeeper.pem"
    generate(path)
    path.chmod(mode)
    with pytest.raises(UsageError, match="chmod 600"):
        load_private(path)


def test_a_new_private_key_is_for_its_owner_only_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "gatekeeper.pem"
    generate(path)
    before = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="never overwritten"):
        generate(path)
    assert path.read_bytes() == before


def test_what_is_no_key_is_refused_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "secret.pem"
    path.write_text("hunter2")
    path.chmod(0o600)
    for load in (load_private, load_public):
        with pytest.raises(UsageError, match="not an Ed25519") as refusal:
            load(path)
        assert "hunter2" not in str(refusal.value)
    with pytest.raises(UsageError, match="cannot be read"):
        load_private(tmp_path / "missing.pem")


def test_a_private_key_shows_only_its_id_and_is_never_copied(key: PrivateKey) -> None:
    assert repr(key) == f"PrivateKey({key.id})"
    assert len(key.id) == 16
    with pytest.raises(TypeError, match="never copied"):
        copy.copy(key)
