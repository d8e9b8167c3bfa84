"""Settings of serving: those of every service, with the public key required."""

from __future__ import annotations

from everloop.errors import UsageError
from everloop.settings import ServiceSettings, variable
from everloop.signing import PublicKey, load_public


class ServingSettings(ServiceSettings):
    """Nothing beside the common fields."""

    def load_key(self) -> PublicKey:
        """The gate's public key. Raises `UsageError` without one: no verdict could be believed."""
        if self.public_key is None:
            raise UsageError(f"{variable('public_key')} is not set; name the file of the gate's public key")
        return load_public(self.public_key)
