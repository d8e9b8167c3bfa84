"""Which processes a local stack has: one table, and the plan that follows from it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from everloop.local.keys import PRIVATE, PUBLIC
from everloop.local.mlflow_server import QUIET
from everloop.local.paths import Var
from everloop.local.properties import LOOPBACK, BrokerSettings
from everloop.local.spec import Plan, ProcessSpec, only
from everloop.local.tokens import CLEAR, HASHES

MOST_REPLICAS = 8
REPLICA_STEP = 10


@dataclass(frozen=True, slots=True)
class Service:
    """One process of a service: `python -m MODULE ARGUMENTS`, with its usual port."""

    name: str
    module: str
    port: int
    arguments: tuple[str, ...] = ()
    signs: bool = False
    needs: str = ""
    """A package of an extra, without which the process is not started: nobody waits for what it does."""


SERVICES = (
    Service("ingest", "everloop_ingest", 18000, ("door",)),
    Service("ingest-worker", "everloop_ingest", 18001, ("worker",)),
    Service("drift-windows", "everloop_drift", 18002, ("windows",)),
    Service("drift-judge", "everloop_drift", 18003, ("judge",)),
    Service("drift-reports", "everloop_drift", 18008, ("reports",), needs="evidently"),
    Service("trainer", "everloop_trainer", 18004),
    Service("gatekeeper", "everloop_gatekeeper", 18005, signs=True),
    Service("rollout", "everloop_rollout", 18006),
    Service("serving", "everloop_serving", 18007),
)
INFRASTRUCTURE_PORTS = {"broker": 19092, "controller": 19093, "mlflow": 15000}
SERVICE_NAMES = tuple(service.name for service in SERVICES)


@dataclass(frozen=True, slots=True)
class Options:
    """What a person chose. `broker` is an existing Kafka; without it the stack has its own."""

    var: Path
    python: str
    broker: str | None = None
    replicas: Mapping[str, int] = field(default_factory=dict)
    only: frozenset[str] = frozenset()
    tokens: bool = False
    """Whether HTTP requests must show a token."""
    without: frozenset[str] = frozenset()
    """Services that are left out."""
    probe: str = "0s"
    """How often drift's probe drifts; not at all, unless asked for: a replay wants a stack that comes to rest."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One process of a service. The first has the service's own name, the second is `NAME-1`."""

    service: Service
    ordinal: int

    @property
    def name(self) -> str:
        """How the process is called."""
        return f"{self.service.name}-{self.ordinal}" if self.ordinal else self.service.name

    @property
    def port(self) -> int:
        """Its usual port."""
        return self.service.port + REPLICA_STEP * self.ordinal


def replicas(options: Options) -> list[Replica]:
    """All service processes, in the order of the table."""
    there = (service for service in SERVICES if service.name not in options.without)
    return [Replica(service, n) for service in there for n in range(options.replicas.get(service.name, 1))]


def lacking(installed: Callable[[str], bool]) -> frozenset[str]:
    """Services that cannot run here, since the extra that they need is not installed."""
    return frozenset(service.name for service in SERVICES if service.needs and not installed(service.needs))


def usual_ports(options: Options) -> dict[str, int]:
    """Every port that this stack needs, by name, with its usual number."""
    services = {replica.name: replica.port for replica in replicas(options)}
    own = {name: port for name, port in INFRASTRUCTURE_PORTS.items() if name == "mlflow" or options.broker is None}
    return own | services


def build_plan(options: Options, ports: Mapping[str, int], broker_argv: tuple[str, ...] = ("java",)) -> Plan:
    """Everything that the supervisor must know. `broker_argv` starts our own broker, where no other is named."""
    var, address = Var(options.var), options.broker or f"{LOOPBACK}:{ports['broker']}"
    urls = {name: f"http://{LOOPBACK}:{ports[name]}" for name in ("mlflow", "ingest", "serving")}
    common = QUIET | {
        "EVERLOOP_BROKER": address,
        "EVERLOOP_VAR": str(var.root),
        "EVERLOOP_MLFLOW": urls["mlflow"],
        "EVERLOOP_INGEST": urls["ingest"],
        "EVERLOOP_PUBLIC_KEY": str(var.keys / PUBLIC),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",  # threads of scikit-learn spin: on a few shared cores they cost more than they give
    }
    common |= {"EVERLOOP_PROBE": options.probe}
    common |= {"EVERLOOP_TOKENS": str(var.keys / HASHES)} if options.tokens else {}
    processes = (
        *(() if options.broker else (_broker(var, ports, address, broker_argv),)),
        _topics(var, options, address),
        _mlflow(var, options, ports),
        *(_service(replica, var, options.python, common, ports[replica.name]) for replica in replicas(options)),
    )
    chosen, clear = _chosen(processes, options.only), var.keys / CLEAR if options.tokens else None
    return Plan(var=var.root, broker=address, urls=urls, ports=dict(ports), processes=chosen, tokens=clear)


def broker_settings(var: Var, ports: Mapping[str, int]) -> BrokerSettings:
    """Where the stack's own broker lives."""
    return BrokerSettings(var.kafka, ports["broker"], ports["controller"])


def _broker(var: Var, ports: Mapping[str, int], address: str, argv: tuple[str, ...]) -> ProcessSpec:
    return ProcessSpec(
        name="broker", argv=argv, log_path=var.log("broker"), port=ports["broker"], ready=f"kafka://{address}"
    )


def _topics(var: Var, options: Options, address: str) -> ProcessSpec:
    return ProcessSpec(
        name="topics",
        argv=(options.python, "-m", "everloop.local.topics_admin", address),
        log_path=var.log("topics"),
        depends_on=() if options.broker else ("broker",),
        once=True,
    )


def _mlflow(var: Var, options: Options, ports: Mapping[str, int]) -> ProcessSpec:
    port = ports["mlflow"]
    return ProcessSpec(
        name="mlflow",
        argv=(options.python, "-m", "everloop.local.mlflow_server", str(var.mlflow), str(port)),
        log_path=var.log("mlflow"),
        port=port,
        ready=f"http://{LOOPBACK}:{port}/health",
    )


def _service(replica: Replica, var: Var, python: str, common: Mapping[str, str], port: int) -> ProcessSpec:
    service = replica.service
    own = {"EVERLOOP_REPLICA": str(replica.ordinal), "EVERLOOP_HTTP_PORT": str(port)}
    key = {"EVERLOOP_KEY": str(var.keys / PRIVATE)} if service.signs else {}  # nobody else can sign a verdict
    return ProcessSpec(
        name=replica.name,
        argv=(python, "-m", service.module, *service.arguments),
        env={**common, **own, **key},
        log_path=var.log(replica.name),
        port=port,
        ready=f"http://{LOOPBACK}:{port}/readyz",
        depends_on=("topics",),  # not on MLflow: it displays decisions, and nobody waits for it
    )


def _chosen(processes: tuple[ProcessSpec, ...], names: frozenset[str]) -> tuple[ProcessSpec, ...]:
    return only(processes, set(names)) if names else processes


def process_names(options: Options) -> tuple[str, ...]:
    """Every process that `--only` may name."""
    own = () if options.broker else ("broker",)
    return (*own, "topics", "mlflow", *(replica.name for replica in replicas(options)))
