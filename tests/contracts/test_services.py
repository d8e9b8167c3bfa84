"""Each service's literal tables held to the registry: it reads and writes what `topics.py` says, and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module, util
from pathlib import Path
from types import ModuleType

import pytest

from everloop.events import TYPES
from everloop.groups import ROOMS, Room
from everloop.topics import ALERTS, ALL, ARCHIVE, BOOKS, CLOCK, DLQ, LOOPS, TOPICS, Topic

ROOT = Path(__file__).parents[2]
RESTORED_FROM: Mapping[str, frozenset[str]] = {"ingest": frozenset({ARCHIVE.name, BOOKS.name})}
"""What a room reads to its end only when partitions are assigned to it, to rebuild its state."""
FOR_ALL = {ALERTS.name, DLQ.name}
LANDED = [name for name in ALL if util.find_spec(f"everloop_{name}.handlers")]
EVERY_SERVICE = pytest.mark.parametrize("service", LANDED)


def handlers(service: str) -> ModuleType:
    """The module with the tables."""
    return import_module(f"everloop_{service}.handlers")


def names(table: object) -> set[str]:
    """Every topic in a table: a topic, a sequence of topics, or topics by room."""
    if isinstance(table, Topic):
        return {table.name}
    inner: Iterable[object] = (
        table.values() if isinstance(table, Mapping) else table if isinstance(table, tuple) else ()
    )
    return {name for one in inner for name in names(one)}


def tables(service: str, *wanted: str) -> set[str]:
    """The topics of these tables of a service, of those that it has."""
    module = handlers(service)
    return {name for table in wanted for name in names(getattr(module, table, ()))}


@EVERY_SERVICE
def test_a_service_reads_what_the_registry_says(service: str) -> None:
    read = tables(service, "CONSUMES", "HEARS", "FACTS", "JOURNAL", "BROADCASTS")
    if hasattr(handlers(service), "JOURNAL"):
        read |= {LOOPS.name, CLOCK.name}  # the carrier of deciders reads these for all of them
    read |= RESTORED_FROM.get(service, frozenset())
    assert read == {topic.name for topic in TOPICS.values() if service in topic.consumers}


@EVERY_SERVICE
def test_a_service_writes_what_the_registry_says(service: str) -> None:
    written = tables(service, "PRODUCES", "SAYS", "JOURNAL")
    registered = {topic.name for topic in TOPICS.values() if service in topic.producers}
    assert written - FOR_ALL == registered - FOR_ALL


@EVERY_SERVICE
def test_a_service_says_only_events_of_topics_that_it_writes(service: str) -> None:
    allowed = {kind.__name__ for topic in TOPICS.values() if service in topic.producers for kind in topic.events}
    said = {name for path in sources(service) for name in events_built(path)}
    assert said - allowed == set()


def sources(service: str) -> list[Path]:
    """The modules of a service."""
    return sorted((ROOT / "services" / service / f"everloop_{service}").rglob("*.py"))


def events_built(path: Path) -> set[str]:
    """Names of event classes that a module constructs: `X(...)`, `X.because(...)`, `X.named(...)`, `e.X(...)`.

    Or that it writes without constructing them: `Envelope(X, ...)`.
    """
    wire = {kind.__name__ for kind in TYPES.values()}
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            parts = ast.unparse(node.func).split(".")
            name = parts[-2] if parts[-1] in {"because", "named", "model_validate"} and len(parts) > 1 else parts[-1]
            names = {name, ast.unparse(node.args[0])} if name == "Envelope" and node.args else {name}
            found |= names & wire
    return found


@EVERY_SERVICE
def test_a_journal_belongs_to_its_service(service: str) -> None:
    journal = getattr(handlers(service), "JOURNAL", None)
    if journal is not None:
        assert journal.journal
        assert journal.producers == (service,)


@pytest.mark.parametrize("room", ROOMS, ids=[room.name for room in ROOMS])
def test_a_room_reads_only_what_its_service_is_registered_for(room: Room) -> None:
    service = room.name.partition(".")[0]
    for topic in (*room.shared, *room.broadcast):
        assert service in topic.consumers


DECIDERS = {*ALL, "drift.judge", "drift.reports"}
FOLDED = [room for room in ROOMS if room.shared and room.name not in DECIDERS]


@pytest.mark.parametrize("room", FOLDED, ids=[room.name for room in FOLDED])
def test_a_fold_hears_what_its_room_is_listed_with(room: Room) -> None:
    fold = folds()[room.name]
    assert set(fold[0]) == {topic.name for topic in room.shared}
    assert set(fold[1]) == {topic.name for topic in room.broadcast}


def folds() -> dict[str, tuple[Sequence[str], Sequence[str]]]:
    """What each fold of the services' adapters hears and is told by broadcast, by its room."""
    found = {}
    for service in LANDED:
        for path in sources(service):
            if "adapters" in path.parts or path.stem == "adapters":
                module = ".".join(path.relative_to(ROOT / "services" / service).with_suffix("").parts)
                for one in vars(import_module(module.removesuffix(".__init__"))).values():
                    if isinstance(one, type) and {"name", "hears", "broadcasts"} <= vars(one).keys():
                        found[vars(one)["name"]] = (vars(one)["hears"], vars(one)["broadcasts"])
    return found


@EVERY_SERVICE
def test_what_a_decider_hears_is_what_its_room_is_listed_with(service: str) -> None:
    module = handlers(service)
    if not hasattr(module, "JOURNAL"):
        return
    room = next(room for room in ROOMS if room.shared and room.shared[0] == module.JOURNAL)
    assert names(module.HEARS) | {module.JOURNAL.name} == {topic.name for topic in room.shared}
    assert names(module.FACTS) | {LOOPS.name, CLOCK.name} == {topic.name for topic in room.broadcast}
