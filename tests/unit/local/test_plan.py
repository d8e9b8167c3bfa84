"""The table of processes, and the plan that follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from everloop.errors import UsageError
from everloop.local.backoff import backoff, failures_in_a_row
from everloop.local.lifecycle import Wish, choose_ports, needed_ports, require_loopback
from everloop.local.mlflow_server import migrate_command, server_command
from everloop.local.spec import Plan, ProcessSpec, stop_order
from everloop.local.stack import SERVICES, Options, build_plan, lacking, process_names, usual_ports
from everloop.local.state import ProcessState, Stack, all_fine, culprit
from everloop.local.supervisor import Supervisor

VAR = Path("/somewhere/var")


def a_plan(**options: object) -> Plan:
    chosen = Options(VAR, "python", **options)  # type: ignore[arg-type]
    return build_plan(chosen, usual_ports(chosen))


def a_spec(name: str, *depends_on: str) -> ProcessSpec:
    return ProcessSpec(name=name, argv=("true",), log_path=VAR / name, depends_on=depends_on)


def a_stack(*processes: ProcessState) -> Stack:
    empty = Supervisor(Plan(var=VAR, broker="", processes=()), {}).stack()
    return empty.model_copy(update={"processes": processes})


def a_process(**fields: object) -> ProcessState:
    return ProcessState.model_validate({"name": "a", "log": VAR} | fields)


def test_every_service_is_started_with_its_port_and_what_it_must_know() -> None:
    plan = a_plan()
    specs = {spec.name: spec for spec in plan.processes}
    assert {service.name for service in SERVICES} < set(specs)
    door = specs["ingest"]
    assert door.argv == ("python", "-m", "everloop_ingest", "door")
    assert door.env["EVERLOOP_BROKER"] == "127.0.0.1:19092"
    assert door.env["EVERLOOP_HTTP_PORT"] == "18000"
    assert door.ready == "http://127.0.0.1:18000/readyz"
    assert door.depends_on == ("topics",)
    assert specs["trainer"].env["EVERLOOP_INGEST"] == plan.urls["ingest"] == "http://127.0.0.1:18000"


def test_a_service_whose_extra_is_not_installed_is_left_out() -> None:
    assert lacking(lambda _: True) == frozenset()
    left_out = lacking(lambda package: package != "evidently")
    assert left_out == {"drift-reports"}
    names = {spec.name for spec in a_plan(without=left_out).processes}
    assert names == {spec.name for spec in a_plan().processes} - {"drift-reports"}
    assert "drift-reports" not in usual_ports(Options(VAR, "python", without=left_out))


def test_there_is_no_probe_unless_it_is_asked_for() -> None:
    for options, told in (({}, "0s"), ({"probe": "5m"}, "5m")):
        specs = {spec.name: spec for spec in a_plan(**options).processes}
        assert {specs[name].env["EVERLOOP_PROBE"] for name in ("drift-windows", "drift-judge")} == {told}


def test_only_the_gatekeeper_can_sign() -> None:
    holders = {spec.name for spec in a_plan().processes if "EVERLOOP_KEY" in spec.env}
    assert holders == {"gatekeeper"}


def test_replicas_have_names_ordinals_and_ports_of_their_own() -> None:
    specs = {spec.name: spec for spec in a_plan(replicas={"trainer": 2}).processes}
    assert specs["trainer"].env["EVERLOOP_REPLICA"] == "0"
    assert specs["trainer-1"].env["EVERLOOP_REPLICA"] == "1"
    assert specs["trainer-1"].port != specs["trainer"].port
    assert len({spec.port for spec in specs.values() if spec.port}) == len([s for s in specs.values() if s.port])


def test_an_existing_broker_is_not_started() -> None:
    plan = a_plan(broker="localhost:9092")
    specs = {spec.name: spec for spec in plan.processes}
    assert "broker" not in specs
    assert specs["topics"].depends_on == ()
    assert specs["serving"].env["EVERLOOP_BROKER"] == "localhost:9092"
    assert "controller" not in needed_ports(plan)


def test_only_some_and_what_they_depend_on() -> None:
    plan = a_plan(only=frozenset({"trainer"}))
    assert [spec.name for spec in plan.processes] == ["broker", "topics", "trainer"]
    assert set(needed_ports(plan)) == {"broker", "controller", "trainer"}
    assert set(needed_ports(a_plan(only=frozenset({"mlflow"})))) == {"mlflow"}


def test_every_name_can_be_chosen() -> None:
    assert process_names(Options(VAR, "python")) == tuple(spec.name for spec in a_plan().processes)


def test_dependents_stop_first() -> None:
    assert stop_order((a_spec("a"), a_spec("b"), a_spec("c", "a"), a_spec("d", "c", "b"))) == [["d"], ["c"], ["a", "b"]]


@pytest.mark.parametrize("specs", [(a_spec("a", "b"), a_spec("b")), (a_spec("a"), a_spec("a"))])
def test_a_plan_out_of_order_is_refused(specs: tuple[ProcessSpec, ...]) -> None:
    with pytest.raises(ValidationError):
        Plan(var=VAR, broker="", processes=specs)


def test_ports_auto_are_free_ones_and_wishes_win() -> None:
    options = Options(VAR, "python")
    ports = choose_ports(Wish(options, VAR, {"mlflow": 5000}, auto=True))
    assert ports["mlflow"] == 5000
    assert set(ports) == set(usual_ports(options))
    assert not set(ports.values()) & set(usual_ports(options).values())


def test_one_port_for_two_is_refused() -> None:
    with pytest.raises(UsageError, match="wished for both"):
        choose_ports(Wish(Options(VAR, "python"), VAR, {"mlflow": 18000}))


@pytest.mark.parametrize("broker", ["localhost:9092", "127.0.0.1:9092", "127.8.0.1:1", "[::1]:9092"])
def test_a_broker_on_this_machine_is_used(broker: str) -> None:
    require_loopback(broker)


@pytest.mark.parametrize("broker", ["kafka:9092", "10.0.0.1:9092", "127.0.0.1.example.org:9092", "localhost.example:1"])
def test_plain_text_to_another_machine_is_refused(broker: str) -> None:
    with pytest.raises(UsageError, match="plain text to another machine is refused"):
        require_loopback(broker)


@pytest.mark.parametrize("broker", ["localhost", "localhost:", ":9092", "localhost:http"])
def test_an_address_of_another_form_is_refused(broker: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        require_loopback(broker)


def test_backoff_doubles_up_to_ten_seconds() -> None:
    assert [backoff(n) for n in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert backoff(10_000) == 10


def test_thirty_seconds_up_begin_afresh() -> None:
    assert failures_in_a_row(4, up_seconds=29.9) == 5
    assert failures_in_a_row(4, up_seconds=30) == 1


def test_who_keeps_a_stack_from_coming_up() -> None:
    fine = a_process(phase="ready"), a_process(name="b", phase="done")
    assert all_fine(a_stack(*fine))
    assert culprit(a_stack(*fine, a_process(phase="restarting", restarts=2))) is None
    for fields in ({"phase": "failed"}, {"phase": "exited"}, {"phase": "restarting", "restarts": 3}):
        guilty = a_process(name="c", **fields)
        assert culprit(a_stack(*fine, guilty)) == guilty
        assert not all_fine(a_stack(*fine, guilty))


def test_mlflow_keeps_to_this_machine_and_to_its_directory() -> None:
    command = server_command(VAR, 15000)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--workers") + 1] == "1"
    assert command[command.index("--backend-store-uri") + 1] == migrate_command(VAR)[-1]
    assert migrate_command(VAR)[-1] == "sqlite:////somewhere/var/mlflow.db"
