"""Ed25519 signatures (RFC 8032) over canonical JSON: verdicts and approvals are believed only with one."""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from everloop.errors import InvalidError, UsageError
from everloop.events import SignedVerdict

KEY_ID_LENGTH: Final = 16
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LARGEST_KEY_FILE: Final = 16_384

# mypy has recursive aliases since 0.990; Python 3.11 has no `type` statement yet.
JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]


class PublicKey:
    """Verifies. `id` is the first 16 hex digits of the SHA-256 of the raw key: public, short, for logs and events."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        """Wrap a key of the library."""
        self.raw: Final = key.public_bytes_raw()
        self.id: Final = sha256(self.raw).hexdigest()[:KEY_ID_LENGTH]
        self._key: Final = key

    def __repr__(self) -> str:
        """Show the id."""
        return f"PublicKey({self.id})"

    def accepts(self, message: bytes, signature: bytes) -> bool:
        """Say whether this key's owner signed exactly these bytes."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class PrivateKey:
    """Signs. Nothing of the key itself appears in `repr`, in errors or in pickles."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Wrap a key of the library."""
        self.public: Final = PublicKey(key.public_key())
        self.id: Final = self.public.id
        self._key: Final = key

    def __repr__(self) -> str:
        """Show the id, never the key."""
        return f"PrivateKey({self.id})"

    def __reduce__(self) -> str:
        """Refuse to be copied, and with that to be serialised by accident."""
        message = "a private key is never copied or serialised; load it from its file"
        raise TypeError(message)

    def signs(self, message: bytes) -> bytes:
        """Give the 64 bytes of the signature; the same message always has the same one."""
        return self._key.sign(message)


def canonical(payload: Mapping[str, JSON]) -> bytes:
    """Give the bytes that are signed: JSON with sorted keys and no spaces. NaN and infinities become null."""
    return orjson.dumps(dict(payload), option=orjson.OPT_SORT_KEYS)


def sign(private: PrivateKey, payload: Mapping[str, JSON]) -> str:
    """Give the signature of a payload, in base64."""
    return b64encode(private.signs(canonical(payload))).decode("ascii")


def verify(public: PublicKey, payload: Mapping[str, JSON], signature: str) -> None:
    """Return when the signature is this key's for exactly this payload. Raises `InvalidError("bad_signature")`."""
    if not public.accepts(canonical(payload), _decoded(signature)):
        message = f"the signature is not that of key {public.id} over this payload; sign it again with that key"
        raise InvalidError("bad_signature", message)


def verdict_payload(verdict: SignedVerdict) -> dict[str, JSON]:
    """Give what a verdict's signature covers: all of it but the signature and the key's id."""
    payload: dict[str, JSON] = verdict.model_dump(mode="json", exclude={"key_id", "signature"})
    return payload


def sign_verdict(private: PrivateKey, verdict: SignedVerdict) -> SignedVerdict:
    """Give the verdict with signature and key id. Ed25519 has no chance in it: the same verdict, the same signature."""
    return verdict.model_copy(update={"key_id": private.id, "signature": sign(private, verdict_payload(verdict))})


def verify_verdict(public: PublicKey, verdict: SignedVerdict) -> None:
    """Return when `public` has signed exactly this verdict. Raises `InvalidError("bad_signature")`."""
    verify(public, verdict_payload(verdict), verdict.signature)


def _decoded(signature: str) -> bytes:
    """Read base64 strictly; what is not base64 cannot be a signature, so it is given as the empty one."""
    try:
        return b64decode(signature, validate=True)
    except ValueError:
        return b""


def generate(path: Path) -> PrivateKey:
    """Make a new private key in a new file (mode 0600) and its public half beside it (`.pub`).

    Raises `UsageError` where the file exists: a key is never overwritten.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        message = f"{path}: a key file is never overwritten; move it away first"
        raise UsageError(message) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    public_of(path).write_bytes(_public_pem(key.public_key()))
    return PrivateKey(key)


def public_of(path: Path) -> Path:
    """Give the path of the public half of a private key file."""
    return path.with_name(path.name + ".pub")


def _public_pem(key: Ed25519PublicKey) -> bytes:
    """Encode as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_private(path: Path) -> PrivateKey:
    """Read a private key (PKCS#8 PEM). Raises `UsageError`: missing, open to others, or not an Ed25519 key."""
    data = _key_bytes(path, private=True)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_a_key(path, "private key in PKCS#8 PEM form")
    return PrivateKey(key)


def load_public(path: Path) -> PublicKey:
    """Read a public key (PEM). Raises `UsageError`: missing, or not an Ed25519 key."""
    try:
        key = serialization.load_pem_public_key(_key_bytes(path, private=False))
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise _not_a_key(path, "public key in PEM form")
    return PublicKey(key)


def _key_bytes(path: Path, *, private: bool) -> bytes:
    """Read a key file. The mode is that of the opened file, so no other file can be put there in between."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if private and mode & _OTHERS:
                message = f"{path}: group or others may read this private key; fix it with: chmod 600 {path}"
                raise UsageError(message)
            return file.read(_LARGEST_KEY_FILE)
    except OSError as error:
        message = f"{path}: the key file cannot be read ({error.strerror}); make one with `everloop up`"
        raise UsageError(message) from error


def _not_a_key(path: Path, wanted: str) -> UsageError:
    """Word the refusal without the library's error, which could carry bytes of the file."""
    return UsageError(f"{path}: this is not an Ed25519 {wanted}; make one with `everloop up`")
