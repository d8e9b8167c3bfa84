"""The key pair of a local stack: the gatekeeper signs verdicts, all others verify them with the public half."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from everloop.local.files import write_atomically
from everloop.signing import load_private

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = "gatekeeper.key"
PUBLIC = "gatekeeper.pub"


def ensure_keys(directory: Path) -> tuple[Path, Path]:
    """Return the paths of the private and the public key, making what is absent.

    The private key (PKCS#8 PEM, mode 0600) is never overwritten; the public one (PEM) is written from it each time.
    Raises `UsageError` when the private key is no Ed25519 key or may be read by others.
    """
    private, public = directory / PRIVATE, directory / PUBLIC
    if not private.exists():
        write_atomically(private, new_private_pem(), mode=0o600)
    write_atomically(public, public_pem(load_private(private).public.raw))
    return private, public


def new_private_pem() -> bytes:
    """Make a key."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(raw: bytes) -> bytes:
    """Write 32 raw bytes of a public key as PEM."""
    return Ed25519PublicKey.from_public_bytes(raw).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
