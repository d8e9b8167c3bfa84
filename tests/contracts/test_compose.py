"""The stack in containers, without an engine: valid, hardened, pinned, and about settings and metrics that exist.

`compose-spec.json` is the schema of the Compose Specification as compose-go v2.16.2 carries it (Apache-2.0).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from compose.dashboard import ROWS, dashboard
from compose.select_lock import select, stanzas
from compose.write import files
from everloop.local.jars import LOCK_FILE
from everloop.local.stack import INFRASTRUCTURE_PORTS, SERVICES, Service
from everloop.metrics import LABELS, METRICS, Metric
from everloop.settings import PREFIX, ServiceSettings, is_loopback, variable
from everloop.signing import load_private, load_public

ROOT = Path(__file__).parents[2]
HERE = ROOT / "compose"
Json = dict[str, Any]
STACK: Json = yaml.safe_load((HERE / "compose.yaml").read_text("utf-8"))
CONTAINERS: Mapping[str, Json] = STACK["services"]
EVERY_CONTAINER = pytest.mark.parametrize("name", sorted(CONTAINERS))
EVERY_SERVICE = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
ONCE = {"prepare", "topics", "schema", "bucket"}
FROM_IMAGE = {service.name for service in SERVICES} | {"mlflow"}
"""Whose health check the Dockerfile brings (MLflow has its own)."""
WITHOUT_SHELL = {"bus"}
"""The pause image holds nothing that could ask; it does nothing that could fail."""
HTTP = r"\d+\.\d+\.\d+\.\d+:(\d+)"
PROMETHEUS: Json = yaml.safe_load((HERE / "prometheus/prometheus.yml").read_text("utf-8"))
RULES: list[Json] = [
    rule
    for group in yaml.safe_load((HERE / "prometheus/rules.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
DOCKERFILE = (HERE / "Dockerfile").read_text("utf-8")


def environment(container: Json) -> dict[str, str]:
    """What the container is told, as the engine would: all texts."""
    told = container.get("environment", {})
    assert all(isinstance(value, str) for value in told.values()), "quote numbers and booleans: YAML has its own ideas"
    return dict(told)


def settings_of(service: Service) -> type[ServiceSettings]:
    """The settings that a service reads."""
    module = import_module(f"{service.module}.settings")
    return next(
        kind for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, ServiceSettings) and kind.__module__ == module.__name__
    )  # fmt: skip


def targets(container: Json) -> dict[str, str]:
    """What is mounted where: source by path inside, with `:ro` where it is."""
    return {entry.split(":")[1]: entry for entry in container.get("volumes", [])}


# ── the file as a whole ─────────────────────────────────────────────────────────────────────────────────────────────


def specification() -> Draft202012Validator:
    """The validator of the specification."""
    return Draft202012Validator(json.loads((Path(__file__).with_name("compose-spec.json")).read_bytes()))


def test_it_is_valid_by_the_compose_specification() -> None:
    assert [f"{list(error.path)}: {error.message}" for error in specification().iter_errors(STACK)] == []


def test_the_specification_catches_a_misspelled_key() -> None:
    broken = {"services": {"kafka": {**CONTAINERS["kafka"], "readonly": True}}}
    assert not specification().is_valid(broken)


def test_every_name_that_is_used_is_declared() -> None:
    for name, container in CONTAINERS.items():
        assert set(container.get("depends_on", {})) <= set(CONTAINERS), name
        assert set(container.get("networks", {})) <= set(STACK["networks"]), name
        mounted = {entry.split(":")[0] for entry in container.get("volumes", [])}
        assert {source for source in mounted if not source.startswith(".")} <= set(STACK["volumes"]), name
        assert all((HERE / source).exists() for source in mounted if source.startswith(".")), name


def test_every_volume_and_network_is_used() -> None:
    mounts = {entry.split(":")[0] for one in CONTAINERS.values() for entry in one.get("volumes", [])}
    assert set(STACK["volumes"]) <= mounts
    assert set(STACK["networks"]) == {net for one in CONTAINERS.values() for net in one.get("networks", ())}


def test_nothing_waits_in_a_circle() -> None:
    left = {name: set(container.get("depends_on", {})) for name, container in CONTAINERS.items()}
    while free := [name for name, waits in left.items() if not waits & set(left)]:
        for name in free:
            del left[name]
    assert left == {}


def test_what_is_waited_for_is_healthy_or_done() -> None:
    for name, container in CONTAINERS.items():
        for other, how in container.get("depends_on", {}).items():
            expected = (
                "service_started" if other in WITHOUT_SHELL
                else "service_completed_successfully" if other in ONCE
                else "service_healthy"
            )  # fmt: skip
            assert how["condition"] == expected, f"{name} waits for {other}"


# ── hardening (S22), pins (S21) ─────────────────────────────────────────────────────────────────────────────────────


@EVERY_CONTAINER
def test_a_container_has_no_more_rights_than_it_needs(name: str) -> None:
    container = CONTAINERS[name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert "cap_add" not in container
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "ipc", "devices", "userns_mode", "cgroup"} & set(container)
    user, group = container["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert container["mem_limit"]
    assert container["cpus"] > 0
    assert container["pids_limit"] > 0
    assert container["logging"]["options"]["max-size"]
    assert "/var/run/docker.sock" not in str(container)


@EVERY_CONTAINER
def test_an_image_is_pinned(name: str) -> None:
    container = CONTAINERS[name]
    image = container["image"]
    if "build" in container:
        parts = [container["build"]["args"].get(name) for name in ("SERVICE", "EXTRA")]
        assert image == f"everloop-{'-'.join(filter(None, parts))}:{version()}"
        assert container["pull_policy"] == "build", "else the engine asks a public registry for a name of ours"
        assert container["build"]["context"] == ".."
    else:
        assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.[\w.-]+@sha256:[0-9a-f]{64}", image), image


def test_an_image_with_an_extra_has_one_that_its_member_declares() -> None:
    asked = [one["build"]["args"] for one in CONTAINERS.values() if "EXTRA" in one.get("build", {}).get("args", {})]
    assert asked
    for arguments in asked:
        member = tomllib.loads((ROOT / "services" / arguments["SERVICE"] / "pyproject.toml").read_text("utf-8"))
        assert arguments["EXTRA"] in member["project"]["optional-dependencies"]


def version() -> str:
    """The version of what we ship."""
    text = (ROOT / "shared/pyproject.toml").read_text("utf-8")
    return re.findall(r'^version = "(.+)"$', text, re.MULTILINE)[0]  # type: ignore[no-any-return]


@EVERY_CONTAINER
def test_a_container_says_when_it_is_ready(name: str) -> None:
    container = CONTAINERS[name]
    if name in ONCE:
        assert container["healthcheck"] == {"disable": True}
        assert container["restart"] == "no"
        return
    assert container["restart"] == "unless-stopped"
    if name not in WITHOUT_SHELL | {service.name for service in SERVICES}:
        assert container["healthcheck"]["test"][0] == "CMD"


@EVERY_CONTAINER
def test_configuration_is_mounted_read_only(name: str) -> None:
    assert all(entry.endswith(":ro") for entry in targets(CONTAINERS[name]).values() if entry.startswith("."))


def test_only_the_gatekeeper_can_sign() -> None:
    holders = {name for name, one in CONTAINERS.items() if "keys" in {e.split(":")[0] for e in one.get("volumes", [])}}
    assert holders == {"prepare", "gatekeeper"}
    assert targets(CONTAINERS["gatekeeper"])["/var/lib/everloop-keys"].endswith(":ro")
    assert {n for n, one in CONTAINERS.items() if variable("key") in environment(one)} == {"gatekeeper"}


def test_no_secret_is_written_down() -> None:
    secret = re.compile("PASSWORD|SECRET")
    told = {key: value for one in CONTAINERS.values() for key, value in environment(one).items() if secret.search(key)}
    assert len(told) >= 4
    for key, value in told.items():
        assert re.match(r"^\$\{[A-Z0-9_]+:\?", value), f"{key} must come from the person's own environment"
    assert not any(secret.search(" ".join(map(str, one.get("command", [])))) for one in CONTAINERS.values())
    assert ".env" in (HERE / ".gitignore").read_text("utf-8").splitlines()


# ── the shared namespace ────────────────────────────────────────────────────────────────────────────────────────────


def in_namespace() -> dict[str, Json]:
    """All that share the namespace with Kafka."""
    return {name: one for name, one in CONTAINERS.items() if one.get("network_mode") == "service:bus"}


def test_whoever_is_told_of_the_broker_is_in_its_namespace() -> None:
    told = {name for name, one in CONTAINERS.items() if str(INFRASTRUCTURE_PORTS["broker"]) in json.dumps(one)}
    assert told - {"bus"} <= set(in_namespace())
    assert {"kafka", "topics", *(service.name for service in SERVICES)} <= set(in_namespace())


def test_all_that_it_holds_leaves_and_comes_back_with_the_namespace() -> None:
    for name, container in in_namespace().items():
        assert container["depends_on"]["bus"]["restart"] is True, name


def test_ports_are_published_on_loopback_alone() -> None:
    published = {name: one["ports"] for name, one in CONTAINERS.items() if "ports" in one}
    assert set(published) == {"bus", "grafana"}
    for entry in (entry for entries in published.values() for entry in entries):
        assert entry.startswith("127.0.0.1:"), entry


def test_what_is_published_is_what_the_front_forwards_to_loopback() -> None:
    config = (HERE / "front/haproxy.cfg").read_text("utf-8")
    edge = CONTAINERS["bus"]["networks"]["edge"]["ipv4_address"]
    bound = re.findall(r"^    bind (\S+):(\d+)$", config, re.MULTILINE)
    servers = re.findall(r"^    server local (\S+):(\d+)$", config, re.MULTILINE)
    ports = [port for _, port in bound]
    assert bound == [(edge, port) for port in ports]
    assert servers == [("127.0.0.1", port) for port in ports]
    assert CONTAINERS["bus"]["ports"] == [f"127.0.0.1:{port}:{port}" for port in ports]
    known = {*INFRASTRUCTURE_PORTS.values(), *(service.port for service in SERVICES)}
    assert set(map(int, ports)) <= known
    assert CONTAINERS["front"]["healthcheck"]["test"][3] == edge


def test_nothing_has_a_way_out() -> None:
    masquerade = "com.docker.network.bridge.enable_ip_masquerade"
    for name, network in STACK["networks"].items():
        shut = network.get("internal") is True or network.get("driver_opts", {}).get(masquerade) == "false"
        assert shut, name
    assert not set(CONTAINERS["grafana"]["networks"]) & {"edge", "storage"}
    assert not set(CONTAINERS["postgres"]["networks"]) & set(CONTAINERS["grafana"]["networks"])


def test_the_broker_has_the_settings_of_the_local_stack() -> None:
    properties = (HERE / "kafka/server.properties").read_text("utf-8")
    assert "listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093\n" in properties
    log = re.findall(r"^log.dirs=(.*)$", properties, re.MULTILINE)
    assert targets(CONTAINERS["kafka"]).keys() >= set(log)


def test_the_broker_is_the_version_of_the_local_stack() -> None:
    locked = re.findall(r"org\.apache\.kafka:kafka_2\.13:([\d.]+\d)", LOCK_FILE.read_text("utf-8"))
    assert CONTAINERS["kafka"]["image"].split("@")[0] == f"apache/kafka:{locked[0]}"


# ── the services ────────────────────────────────────────────────────────────────────────────────────────────────────


@EVERY_SERVICE
def test_a_service_runs_as_in_the_local_stack(service: Service) -> None:
    container = CONTAINERS[service.name]
    assert container["command"] == [service.module, *service.arguments]
    assert f"everloop_{container['build']['args']['SERVICE']}" == service.module
    assert "mlflow" not in container["depends_on"], "it displays decisions, and nobody waits for it"
    assert (variable("key") in environment(container)) == service.signs
    assert container["init"] is True


@EVERY_SERVICE
def test_a_service_is_told_only_what_it_reads_and_accepts_it(service: Service) -> None:
    told = {key: text for key, text in environment(CONTAINERS[service.name]).items() if key.startswith(PREFIX)}
    kind = settings_of(service)
    assert set(told) <= {variable(field) for field in kind.model_fields}
    settings = kind.from_environment({**told, **from_dockerfile()})
    assert settings.http_port == service.port
    assert is_loopback(settings.http_host)
    assert settings.broker == f"127.0.0.1:{INFRASTRUCTURE_PORTS['broker']}"
    assert settings.mlflow == f"http://127.0.0.1:{INFRASTRUCTURE_PORTS['mlflow']}"
    assert settings.ingest == f"http://127.0.0.1:{SERVICES[0].port}"


def from_dockerfile() -> dict[str, str]:
    """The variables of ours that the image sets."""
    return dict(re.findall(rf"\b({PREFIX}\w+)=(\S+)", DOCKERFILE))


@EVERY_SERVICE
def test_the_state_that_a_service_writes_is_writable(service: Service) -> None:
    container = CONTAINERS[service.name]
    var = from_dockerfile()[variable("var")]
    assert var in targets(container) or any(entry.startswith(f"{var}:") for entry in container["tmpfs"])
    assert any(entry.startswith("/tmp:") for entry in container["tmpfs"])  # noqa: S108 -- a path in a container
    signed = environment(container)
    if "public" in {entry.split(":")[0] for entry in container.get("volumes", [])}:
        assert str(Path(signed[variable("public_key")]).parent) in targets(container)


def test_all_services_are_there_and_nothing_else_is_ours() -> None:
    ours = {name for name, one in CONTAINERS.items() if "build" in one}
    assert ours == {service.name for service in SERVICES} | ONCE | {"mlflow"}


def test_ports_in_the_namespace_are_distinct() -> None:
    ports = [environment(one)[variable("http_port")] for one in in_namespace().values() if "build" in one
             and variable("http_port") in environment(one)]  # fmt: skip
    taken = [*map(int, ports), *INFRASTRUCTURE_PORTS.values()]
    assert len(taken) == len(set(taken)) == len(SERVICES) + len(INFRASTRUCTURE_PORTS)


def test_prepare_makes_keys_that_are_believed(tmp_path: Path) -> None:
    script = CONTAINERS["prepare"]["command"][0].replace("/var/lib", str(tmp_path))
    for folder in ("everloop-keys", "everloop-public"):
        (tmp_path / folder).mkdir()
    exec(compile(script, "prepare", "exec"), {})  # noqa: S102 -- our own file
    private = load_private(tmp_path / "everloop-keys/gatekeeper.key")
    assert load_public(tmp_path / "everloop-public/gatekeeper.pub").id == private.id


# ── Prometheus and Grafana ──────────────────────────────────────────────────────────────────────────────────────────


def test_prometheus_asks_every_service_at_its_port() -> None:
    asked = {one["labels"]["service"]: one["targets"] for one in PROMETHEUS["scrape_configs"][0]["static_configs"]}
    assert asked == {service.name: [f"127.0.0.1:{service.port}"] for service in SERVICES}


def test_prometheus_listens_where_grafana_asks_and_nowhere_else() -> None:
    address = f"{CONTAINERS['bus']['networks']['watch']['ipv4_address']}:9090"
    assert f"--web.listen-address={address}" in CONTAINERS["prometheus"]["command"]
    source = yaml.safe_load((HERE / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8"))
    assert source["datasources"][0]["url"] == f"http://{address}"
    assert {source["datasources"][0]["uid"]} == {panel["datasource"]["uid"] for panel in graphs()}


def graphs() -> list[Json]:
    """The graphs of the dashboard, headlines left out."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


QUERIES = [(rule["alert"], rule["expr"]) for rule in RULES] + [
    (panel["title"], panel["targets"][0]["expr"]) for panel in graphs()
]
EVERY_QUERY = pytest.mark.parametrize("query", [query for _, query in QUERIES], ids=[name for name, _ in QUERIES])
BY_NAME: Mapping[str, Metric] = {str(name): metric for name, metric in METRICS.items()}
ADDED = {"service", "job", "instance", "le"}
"""Labels that Prometheus adds."""


NEW_SERIES = re.compile(r"\((everloop_\w+(\{[^}]*\})?) unless \1 offset \d+m\)")
"""Counters that have appeared since: their first count is no increase to Prometheus."""


def series(query: str) -> Iterator[tuple[str, Metric, str]]:
    """Every series of ours in a query: its name, its metric, what is matched."""
    for name, matched in re.findall(r"\b(everloop_\w+)(\{[^}]*\})?", query):
        base = name if name in BY_NAME else re.sub(r"_(bucket|sum|count)$", "", name)
        assert base in BY_NAME, f"{name} is not in metrics.py"
        assert (base == name) != (BY_NAME[base].kind == "histogram"), f"{name}: only histograms have such parts"
        yield name, BY_NAME[base], matched


@EVERY_QUERY
def test_a_query_asks_for_metrics_and_labels_that_exist(query: str) -> None:
    found = list(series(query))
    assert found or re.match(r"up\b", query)
    for name, metric, matched in found:
        for label, how, value in re.findall(r'(\w+)(=~|!=|!~|=)"([^"]*)"', matched):
            assert label in {*metric.labels, *ADDED}, f"{name} has no label {label}"
            if label in LABELS and "$" not in value:
                possible = LABELS[label]
                hit = {one for one in possible if (re.fullmatch(value, one) if "~" in how else one == value)}
                assert hit, f"{label} is never {value}"
                assert "~" not in how or all(
                    any(re.fullmatch(part, one) for one in possible) for part in value.split("|")
                )
            if label == "service":
                assert value in {service.name for service in SERVICES}
    allowed = {label for _, metric, _ in found for label in metric.labels} | ADDED
    for by in re.findall(r"by \(([^)]*)\)", query):
        assert {label.strip() for label in by.split(",")} <= allowed


@EVERY_QUERY
def test_a_counter_is_asked_for_its_growth_and_a_gauge_for_its_value(query: str) -> None:
    for name, metric, _ in series(NEW_SERIES.sub("", query)):
        grows = re.search(rf"(rate|increase)\({name}\b", query) is not None
        assert grows == (metric.kind != "gauge"), name


@EVERY_QUERY
def test_somebody_sets_what_a_query_asks_for(query: str) -> None:
    code = "".join(
        path.read_text("utf-8") for folder in ("services", "shared/everloop") for path in (ROOT / folder).rglob("*.py")
        if path.name != "metrics.py"
    )  # fmt: skip
    for name, _, _ in series(query):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert f'"{base}"' in code, f"nobody sets {base}: the graph would stay empty"


def test_the_legend_of_a_graph_has_labels_that_its_query_keeps() -> None:
    for panel in (panel for row in ROWS for panel in row.panels):
        labels = set(re.findall(r"\{\{(\w+)\}\}", panel.legend))
        kept = {label.strip() for by in re.findall(r"by \(([^)]*)\)", panel.query) for label in by.split(",")}
        own = {label for _, metric, _ in series(panel.query) for label in metric.labels} | ADDED
        assert labels <= (kept or own), panel.title


def test_the_queries_have_as_many_brackets_that_open_as_close() -> None:
    for name, query in QUERIES:
        assert all(query.count(one) == query.count(other) for one, other in ("()", "[]", "{}")), name


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_a_rule_on_what_must_not_happen_once_sees_the_first_time(rule: Json) -> None:
    once = re.findall(r"increase\((everloop_\w+(?:\{[^}]*\})?)\[(\w+)\]\) > 0", rule["expr"])
    for counter, window in once:
        assert f"({counter} unless {counter} offset {window})" in rule["expr"]
    assert ("increase(" in rule["expr"]) == bool(once) or rule["alert"] == "ArchiveLags"


@pytest.mark.parametrize("topic", ["Down", "Ready", "Stuck", "Heartbeat", "Silent", "DeadLetters", "Lags", "Refused"])
def test_there_is_a_rule_on(topic: str) -> None:
    assert any(topic in rule["alert"] for rule in RULES)


def test_every_rule_says_what_it_saw() -> None:
    assert all(rule["annotations"]["summary"] for rule in RULES)


def test_graphs_do_not_overlap() -> None:
    taken = [
        (x, y)
        for panel in dashboard()["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize("name", sorted(files()))
def test_generated_files_are_as_generated(name: str) -> None:
    assert (ROOT / name).read_text("utf-8") == files()[name], "run `python -m compose.write`"


# ── the image ───────────────────────────────────────────────────────────────────────────────────────────────────────


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined, comments left out."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    lines = (line.strip() for line in joined.splitlines() if line.strip())
    return [(line.split(maxsplit=1)[0].upper(), line.split(maxsplit=1)[1]) for line in lines]


def final_stage() -> list[tuple[str, str]]:
    """What is left in the image."""
    last = max(at for at, (word, _) in enumerate(instructions()) if word == "FROM")
    return instructions()[last:]


def test_the_base_image_is_pinned_by_tag_and_digest() -> None:
    defaults = dict(text.split("=", 1) for word, text in instructions() if word == "ARG" and "=" in text)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", defaults["PYTHON_IMAGE"])
    bases = [text.split(" AS ")[0] for word, text in instructions() if word == "FROM"]
    assert set(bases) == {"${PYTHON_IMAGE}"}
    assert "latest" not in DOCKERFILE
    assert "syntax=" not in DOCKERFILE, "a frontend by tag would be a program that nobody pinned"


def test_the_image_is_made_of_files_of_the_repository_and_locked_packages() -> None:
    assert "ADD" not in {word for word, _ in instructions()}
    assert not re.search(r"https?://(?!127\.0\.0\.1)|\bcurl\b|\bwget\b|\bgit\b|apt-get|--index-url", DOCKERFILE)
    script = (HERE / "install.sh").read_text("utf-8")
    installs = re.findall(r"pip install(?:[^\n\\]|\\\n)*", script)
    assert len(installs) == 4
    for line in installs:
        ours = "--offline" in line and "--no-index" in line and "--no-deps" in line
        assert ours or {"--require-hashes", "--no-deps", "--only-binary"} <= set(line.split()), line


def test_the_final_stage_runs_as_nobody_and_holds_no_build_tools() -> None:
    stage = final_stage()
    users = [text for word, text in stage if word == "USER"]
    assert users == ["10001:10001"]
    after = [word for word, _ in stage[[word for word, _ in stage].index("USER") :]]
    assert "RUN" not in after
    assert "COPY" not in after
    copied = [text for word, text in stage if word == "COPY"]
    assert copied == ["--from=build /opt/everloop /opt/everloop"]
    assert any("pip uninstall --yes" in text for word, text in stage if word == "RUN")
    owned = {CONTAINERS[name]["user"] for name in FROM_IMAGE | ONCE}
    assert owned == set(users)


def test_the_image_asks_for_readiness() -> None:
    check = next(text for word, text in final_stage() if word == "HEALTHCHECK")
    command = json.loads(check.split("CMD ", 1)[1])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "healthcheck", "exec")
    assert "/readyz" in command[2]
    assert variable("http_port") in command[2]


def test_the_image_can_be_asked_for_every_member() -> None:
    offered = re.findall(r"^([a-z |]+)\) ;;$", (HERE / "install.sh").read_text("utf-8"), re.MULTILINE)
    members = {path.name for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").exists()}
    assert {name.strip() for name in offered[0].split("|")} == members | {"mlflow"}
    asked = {one["build"]["args"]["SERVICE"] for one in CONTAINERS.values() if "build" in one}
    assert asked == members | {"mlflow"}


def test_the_engine_is_sent_what_the_image_copies_and_no_more() -> None:
    sent = {line[1:] for line in (HERE / "Dockerfile.dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"}
    copied = [text.split()[:-1] for word, text in instructions() if word == "COPY" and "--from" not in text]
    assert sent == {source for sources in copied for source in sources}


# ── locks ───────────────────────────────────────────────────────────────────────────────────────────────────────────

LOCK = stanzas((ROOT / "requirements.lock").read_text("utf-8"))
MLFLOW = stanzas((HERE / "mlflow.lock").read_text("utf-8"))


def test_the_registry_has_the_versions_of_the_workspace_and_a_driver_more() -> None:
    added = {name for name in MLFLOW if name not in LOCK}
    assert added == {"psycopg2-binary"}
    differing = {name for name in set(MLFLOW) & set(LOCK) if pin_of(MLFLOW[name]) != pin_of(LOCK[name])}
    assert differing == set()


def pin_of(stanza: str) -> str:
    """`name==version`."""
    return stanza.split(maxsplit=1)[0]


@pytest.mark.parametrize("lock", [LOCK, MLFLOW], ids=["requirements.lock", "mlflow.lock"])
def test_every_stanza_has_hashes_and_no_address(lock: Mapping[str, str]) -> None:
    assert len(lock) > 50
    assert [name for name, stanza in lock.items() if "--hash=sha256:" not in stanza or "://" in stanza] == []


def test_a_stanza_is_cut_out_with_its_hashes() -> None:
    lock = stanzas(
        "a==1 \\\n    --hash=sha256:aa\n    # via b\nB_c==2 ; python_version > '3' \\\n    --hash=sha256:bb\n"
    )
    assert select(lock, ["b-c==2\n", "# a comment", ""]) == "B_c==2 ; python_version > '3' \\\n    --hash=sha256:bb\n"
    assert select(lock, ["a"]) == "a==1 \\\n    --hash=sha256:aa\n"


@pytest.mark.parametrize("wanted", ["a==2", "missing", "missing==1"])
def test_what_the_lock_does_not_vouch_for_is_refused(wanted: str) -> None:
    with pytest.raises(LookupError, match=wanted):
        select(stanzas("a==1 \\\n    --hash=sha256:aa\n"), [wanted])
