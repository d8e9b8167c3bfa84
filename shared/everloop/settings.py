"""Settings of a service: one frozen object, built from a mapping that is passed in.

`Settings.from_environment(os.environ)` is called in `__main__` only. The field `http_port` is the variable
`EVERLOOP_HTTP_PORT`. An error names the variable, the rule and the fix, never the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from everloop.artifacts import ArtifactStore
from everloop.errors import UsageError
from everloop.stores import check_address, open_store, passed_on
from everloop.tokens import Tokens

PREFIX: Final = "EVERLOOP_"
LARGEST_PORT: Final = 65_535


def _addresses(text: str) -> str:
    """Refuse what is no `HOST:PORT`, and plaintext to anything but this machine (S6)."""
    for address in text.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) <= LARGEST_PORT:
            raise PydanticCustomError("address", "is not HOST:PORT")
        if not is_loopback(host):
            raise PydanticCustomError("plaintext", "is not on this machine, and the connection is not encrypted")
    return text


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PydanticCustomError("url", "is not an address that begins with http:// or https://")
    if parts.username or parts.password:
        raise PydanticCustomError("credentials", "has a user or a password in it, which would end up in logs")
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """Say whether a host can only be this machine: `localhost`, 127.0.0.0/8 or ::1. Names are not looked up."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _store(text: str) -> str:
    try:
        return check_address(text)
    except UsageError as error:
        raise PydanticCustomError("store", "{why}", {"why": str(error)}) from None


Broker = Annotated[str, AfterValidator(_addresses)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
StoreAddress = Annotated[str, AfterValidator(_store)]


class ServiceSettings(BaseModel):
    """What every service is told. A description says meaning, unit and bound; it is the fix in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    broker: Broker = Field(
        default="127.0.0.1:19092",
        description="Kafka as HOST:PORT (several with commas) on loopback; reach a remote one through a TLS tunnel",
    )
    var: Path = Field(default=Path("var"), description="Directory of state: the archive, models and keys lie in it")
    store: StoreAddress | None = Field(
        default=None,
        description="Store of archive, models and reports: an address that fsspec knows, such as s3://BUCKET/PLACE, "
        "without credentials; not set: the folder artifacts in EVERLOOP_VAR",
    )
    matrix: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$",
        description="Who makes training matrices, such as package.module:Class of a MatrixBuilder that works in a "
        "cluster; not set: DuckDB on this machine",
    )
    replica: str = Field(
        default="0", pattern=r"^[A-Za-z0-9-]{1,32}$", description="Ordinal of this replica of the service, such as 0"
    )
    http_host: str = Field(default="127.0.0.1", min_length=1, description="Address that the HTTP server listens on")
    tokens: Path | None = Field(
        default=None,
        description="File of hashes of the tokens that HTTP requests must show; "
        "required where EVERLOOP_HTTP_HOST is not loopback",
    )
    http_port: int = Field(
        default=0, ge=0, le=LARGEST_PORT, description=f"TCP port of the HTTP server, 0 (any free one) to {LARGEST_PORT}"
    )
    mlflow: HttpUrl = Field(default="http://127.0.0.1:15000", description="MLflow's address, such as http://HOST:PORT")
    ingest: HttpUrl = Field(default="http://127.0.0.1:18000", description="Ingest's address, such as http://HOST:PORT")
    key: Path | None = Field(default=None, description="File of the private key that signs verdicts; gatekeeper only")
    public_key: Path | None = Field(default=None, description="File of the public key that verdicts are checked with")

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        """Open HTTP is for this machine alone (S7)."""
        if self.tokens is None and not is_loopback(self.http_host):
            raise PydanticCustomError("open_http", "EVERLOOP_HTTP_HOST is not loopback, and EVERLOOP_TOKENS is not set")
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables of this service's fields; an empty one counts as not set. Raises `UsageError`."""
        named = {name: environment.get(variable(name)) for name in cls.model_fields}
        try:
            return cls.model_validate({name: text for name, text in named.items() if text})
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False, include_context=False)
            raise UsageError("; ".join(cls._sentence(item) for item in details)) from None

    @classmethod
    def _sentence(cls, item: ErrorDetails) -> str:
        if not item["loc"]:
            return f"{item['msg']} (name a file of tokens, or listen on 127.0.0.1; `everloop up --tokens` makes one)"
        name = str(item["loc"][0])
        fix = cls.model_fields[name].description if name in cls.model_fields else "see the service's README"
        return f"{variable(name)} {item['msg'].removeprefix('Value error, ')} ({fix})"

    def load_tokens(self) -> Tokens | None:
        """The tokens that HTTP requests must show; None where none are asked for. Raises `UsageError`."""
        return Tokens(self.tokens) if self.tokens else None

    @property
    def artifacts(self) -> Path:
        """Root of the artifact store where EVERLOOP_STORE names no other."""
        return self.var / "artifacts"

    def open_store(self) -> ArtifactStore:
        """The artifact store. Raises `UsageError` where its implementation is not installed."""
        return open_store(self.store, self.artifacts)

    def for_jobs(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The variables that a job needs of ours to find the store and the builder of matrices, and nothing else."""
        named = {"EVERLOOP_MATRIX": self.matrix} if self.matrix else {}
        return {"EVERLOOP_VAR": str(self.var.absolute()), **named, **passed_on(self.store, environment)}


def variable(field: str) -> str:
    """Give the name of the environment variable of a field."""
    return PREFIX + field.upper()
