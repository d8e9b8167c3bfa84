"""Tokens: how they are made, read, replaced and judged, and who must show them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from everloop.cli import build
from everloop.cli.bootstrap import shown_tokens
from everloop.errors import UsageError
from everloop.guard import FORGET_S, FREE_FAILURES, MOST_PEERS, Guard, access_of
from everloop.local.paths import Var
from everloop.local.stack import Options, build_plan, usual_ports
from everloop.local.supervisor import Supervisor
from everloop.local.tokens import ensure_tokens, replace_token
from everloop.replay.door import HttpDoor
from everloop.replay.rows import Rows
from everloop.settings import ServiceSettings
from everloop.tokens import ROLES, Role, Tokens, digest, read_clear, read_tokens

NEAR, FAR = "127.0.0.1", "203.0.113.9"
LABELS = "/v1/labels"


class Clock:
    """Stands still unless a test moves it; seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class House:
    """A guard, and the clear tokens of its file."""

    def __init__(self, directory: Path) -> None:
        self.hashes, self.env = ensure_tokens(directory)
        self.directory, self.clock = directory, Clock()
        self.guard = Guard(Tokens(self.hashes), self.clock)

    def clear(self, role: Role) -> str:
        return read_clear(self.env)[role].get_secret_value()

    def ask(self, token: str | None, path: str = LABELS, peer: str = NEAR, method: str = "POST") -> int:
        """The status of the refusal; 0 when the request may pass."""
        headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        found = self.guard.refusal(method, path, peer, headers)
        return found.status if found else 0

    def fail(self, times: int, peer: str = NEAR) -> int:
        return [self.ask(f"wrong-{number}", peer=peer) for number in range(times)][-1]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# --------------------------------------------------------------------------------------------------------- the files


def test_both_files_are_closed_to_others_and_only_one_has_clear_tokens(house: House) -> None:
    for path in (house.hashes, house.env):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    clear = [house.clear(role) for role in ROLES]
    assert len(set(clear)) == len(ROLES)
    assert all(len(token) > 43 and token not in house.hashes.read_text() for token in clear)
    assert {entry.sha256 for entry in read_tokens(house.hashes).tokens} == set(map(digest, clear))


def test_tokens_are_made_once(house: House) -> None:
    before = house.clear("labels")
    ensure_tokens(house.directory)
    assert house.clear("labels") == before


@pytest.mark.parametrize(("name", "mode"), [("tokens.json", 0o620), ("tokens.json", 0o602), ("tokens.env", 0o640)])
def test_a_file_that_others_may_change_or_read_is_refused(house: House, name: str, mode: int) -> None:
    (house.directory / name).chmod(mode)
    with pytest.raises(UsageError, match="chmod 600"):
        ensure_tokens(house.directory)


@pytest.mark.parametrize("text", ["", "{}", '{"tokens": []}', '{"tokens": [{"role": "labels", "sha256": "hunter2"}]}'])
def test_a_file_of_another_form_is_refused_without_its_content(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="no file of token hashes") as refusal:
        read_tokens(path)
    assert "hunter2" not in str(refusal.value)


def test_a_missing_file_names_the_fix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="everloop up --tokens"):
        Tokens(tmp_path / "nowhere")


# ------------------------------------------------------------------------------------------------------ the judgement


@pytest.mark.parametrize("role", ROLES)
def test_a_token_opens_the_routes_of_its_role_alone(house: House, role: Role) -> None:
    paths = {
        "/v1/predictions": "ingest", LABELS: "labels", "/v1/events": "events", "/v1/models/fraud/predict": "scoring",
    }  # fmt: skip
    found = {path: house.ask(house.clear(role), path) for path in paths}
    assert found == {path: 0 if wanted == role else 403 for path, wanted in paths.items()}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_is_open_to_this_machine_and_to_others_with_admin(house: House, path: str) -> None:
    assert house.ask(None, path, method="GET") == 0
    assert house.ask(None, path, FAR, "GET") == 401
    assert house.ask(house.clear("labels"), path, FAR, "GET") == 403
    assert house.ask(house.clear("admin"), path, FAR, "GET") == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", LABELS), ("POST", "/v1/labels/"), ("POST", "/v1/models/a/b/predict"), ("POST", "/v1/models//predict"),
     ("POST", "/V1/LABELS"), ("POST", "/v1/labels\n"), ("OPTIONS", LABELS), ("GET", "/")],
)  # fmt: skip
def test_what_is_not_declared_is_denied(house: House, method: str, path: str) -> None:
    assert access_of(method, path) is None
    assert house.ask(None, path, method=method) == 401
    assert {house.ask(house.clear(role), path, method=method) for role in ROLES} == {404}


@pytest.mark.parametrize(
    "headers",
    [[], [b""], [b"Bearer"], [b"Bearer "], [b"Basic %s"], [b"Bearer %s", b"Bearer %s"], [b"Bearer \xff"],
     [b"Bearer " + b"x" * 513]],
)  # fmt: skip
def test_a_header_of_another_form_shows_nothing(house: House, headers: list[bytes]) -> None:
    right = house.clear("labels").encode()
    shown = [(b"Authorization", text.replace(b"%s", right)) for text in headers]
    refusal = house.guard.refusal("POST", LABELS, NEAR, shown)
    assert refusal is not None
    assert (refusal.status, refusal.headers) == (401, {"WWW-Authenticate": "Bearer"})
    assert house.guard.refusal("POST", LABELS, NEAR, [(b"Authorization", b"bearer " + right)]) is None


# ------------------------------------------------------------------------------------------------------- replacement


def test_a_new_token_is_valid_at_once_and_the_old_one_until_the_next_change(house: House) -> None:
    first = house.clear("labels")
    replace_token(house.directory, "labels")
    second = house.clear("labels")
    assert first != second
    assert (house.ask(first), house.ask(second)) == (0, 0)
    replace_token(house.directory, "labels")
    assert (house.ask(first), house.ask(second), house.ask(house.clear("labels"))) == (401, 0, 0)
    assert house.ask(house.clear("ingest"), "/v1/predictions") == 0


def test_without_a_readable_file_no_token_is_valid_until_it_is_back(house: House) -> None:
    token, content = house.clear("labels"), house.hashes.read_bytes()
    house.hashes.write_text("half a fi")
    assert house.ask(token) == 503
    assert house.guard.tokens.wrong
    house.hashes.unlink()
    assert house.ask(token) == 503
    house.hashes.write_bytes(content)
    house.hashes.chmod(0o600)
    assert house.ask(token) == 0
    assert house.guard.tokens.wrong is None


# ------------------------------------------------------------------------------------------------------- the back-off


def test_wrong_tokens_are_made_to_wait_longer_and_longer(house: House) -> None:
    assert house.fail(FREE_FAILURES) == 401
    waits = []
    for _ in range(8):
        assert house.ask("wrong") == 401
        refusal = house.guard.refusal("POST", LABELS, NEAR, [(b"authorization", b"Bearer wrong")])
        assert refusal is not None
        assert refusal.status == 429
        waits.append(int(refusal.headers["Retry-After"]))
        house.clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_in_the_back_off_a_new_token_is_not_looked_at_but_one_that_was_shown_before_is(house: House) -> None:
    assert house.ask(house.clear("labels")) == 0
    house.fail(FREE_FAILURES + 2)
    assert house.ask(house.clear("labels")) == 0
    assert house.ask(house.clear("ingest"), "/v1/predictions") == 429
    assert house.ask(house.clear("ingest"), "/v1/predictions", FAR) == 0
    house.clock.now += 60
    assert house.ask(house.clear("ingest"), "/v1/predictions") == 0


def test_a_request_without_a_token_is_no_failed_attempt(house: House) -> None:
    assert {house.ask(None) for _ in range(50)} == {401}
    assert house.ask(house.clear("labels")) == 0


def test_failures_are_forgotten_after_a_quiet_time(house: House) -> None:
    house.fail(FREE_FAILURES)
    house.clock.now += FORGET_S + 1
    assert house.fail(FREE_FAILURES) == 401


def test_no_more_than_so_many_peers_are_known(house: House) -> None:
    house.fail(FREE_FAILURES + 2, "198.51.100.1")
    for number in range(MOST_PEERS):
        house.ask("wrong", peer=f"10.0.{number // 256}.{number % 256}")
    assert len(house.guard.back_off.peers) == MOST_PEERS
    assert house.ask("wrong", peer="198.51.100.1") == 401


def test_one_ipv6_network_is_one_peer(house: House) -> None:
    for number in range(FREE_FAILURES + 1):
        house.ask("wrong", peer=f"2001:db8::{number}")
    assert house.ask("wrong", peer="2001:db8::ffff") == 429
    assert house.ask("wrong", peer="2001:db8:0:1::1") == 401
    assert house.ask("wrong", peer="::ffff:192.0.2.1") == 401


# --------------------------------------------------------------------------------------------------- who must show one


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "ingest.example"])  # noqa: S104 -- refused
def test_open_http_is_for_this_machine_alone(host: str, house: House) -> None:
    with pytest.raises(UsageError) as refusal:
        ServiceSettings.from_environment({"EVERLOOP_HTTP_HOST": host})
    said = str(refusal.value)
    assert "EVERLOOP_TOKENS" in said
    assert "\n" not in said
    assert host not in said
    guarded = ServiceSettings.from_environment({"EVERLOOP_HTTP_HOST": host, "EVERLOOP_TOKENS": str(house.hashes)})
    assert guarded.load_tokens() is not None


def test_on_this_machine_nothing_is_asked_for_unless_it_is_wanted() -> None:
    assert ServiceSettings.from_environment({"EVERLOOP_HTTP_HOST": "::1"}).load_tokens() is None


def test_a_stack_with_tokens_tells_services_the_hashes_and_callers_the_clear_ones(tmp_path: Path) -> None:
    options = Options(tmp_path, "python", tokens=True)
    plan = build_plan(options, usual_ports(options))
    asked = {spec.env.get("EVERLOOP_TOKENS") for spec in plan.processes if spec.env.get("EVERLOOP_HTTP_PORT")}
    assert asked == {str(Var(tmp_path).keys / "tokens.json")}
    assert Supervisor(plan, {}).stack().tokens == Var(tmp_path).keys / "tokens.env"
    plain = build_plan(Options(tmp_path, "python"), usual_ports(options))
    assert plain.tokens is None
    assert not any("EVERLOOP_TOKENS" in spec.env for spec in plain.processes)


def test_no_token_is_in_a_command_line_or_in_the_plan(tmp_path: Path) -> None:
    var = Var(tmp_path)
    var.make()
    _, clear = ensure_tokens(var.keys)
    options = Options(tmp_path, "python", tokens=True)
    plan = build_plan(options, usual_ports(options)).model_dump_json()
    assert not any(token.get_secret_value() in plan for token in read_clear(clear).values())


# ------------------------------------------------------------------------------------------------------------ callers


def test_the_client_shows_each_route_its_own_token() -> None:
    seen: dict[str, str | None] = {}

    def note(request: httpx.Request) -> httpx.Response:
        seen[request.url.path] = request.headers.get("authorization")
        return httpx.Response(202)

    door = HttpDoor("http://s", "http://i", tokens={"labels": SecretStr("l"), "scoring": SecretStr("s")})
    rows = Rows(ids=("a",), times=(1,), features={"amount": (1.0,)}, labels=(1.0,), entities=None)
    door.close()
    door.client = httpx.Client(transport=httpx.MockTransport(note))
    door.label("fraud", rows.labelled(0))
    door.predict("fraud", rows)
    door.history("fraud", rows)
    door.close()
    assert seen == {LABELS: "Bearer l", "/v1/models/fraud/predict": "Bearer s", "/v1/predictions": None}


def test_a_command_takes_tokens_from_the_environment_then_from_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in ROLES:
        monkeypatch.delenv(f"EVERLOOP_TOKEN_{role.upper()}", raising=False)
    var = Var(tmp_path)
    var.make()
    assert shown_tokens(tmp_path) == {}
    _, clear = ensure_tokens(var.keys)
    options = Options(tmp_path, "python", tokens=True)
    stack = Supervisor(build_plan(options, usual_ports(options)), {}).stack()
    var.state_file.write_text(stack.model_dump_json())
    assert shown_tokens(tmp_path) == read_clear(clear)
    monkeypatch.setenv("EVERLOOP_TOKEN_LABELS", "mine")
    assert shown_tokens(tmp_path) == {"labels": SecretStr("mine")}


def test_the_command_makes_and_replaces_tokens_and_shows_none(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(build(), ["tokens", "--var", str(tmp_path), *words])
        return f"{result.exit_code} {result.output}"

    assert run().startswith("0 ")
    clear = tmp_path / "keys" / "tokens.env"
    before = read_clear(clear)
    said = run("--replace", "labels")
    after = read_clear(clear)
    assert [role for role in ROLES if before[role] != after[role]] == ["labels"]
    assert after["labels"].get_secret_value() not in said
    assert str(clear) in said
    assert run("--replace", "everything").startswith("2 everloop: --replace: one of ingest, labels")


def test_a_file_system_without_times_would_still_show_a_change(house: House) -> None:
    found = house.hashes.stat()
    replace_token(house.directory, "labels")
    os.utime(house.hashes, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert house.ask(house.clear("labels")) == 0
