"""Rule 14 on the rooms themselves: books balance whatever comes and wherever they crash; a cheating room is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import orjson
import pytest

from everloop import events as e
from everloop import topics
from everloop.books import Balance, audit, rows_of, unbalanced
from everloop.cli.books import explained
from everloop.codec import encode
from everloop.rows import read_event
from everloop.runtime.log import Place, Record
from everloop.simulation import Point, Simulation
from everloop_drift.adapters import WindowsFold
from tests.builders import NOON
from tests.unit.books.stack import a_stack, begin, rows, run, tell, write
from tests.unit.cli.turns import Stack, refusal


def totals(simulation: Simulation, room: str, topic: topics.Topic) -> Counter[str]:
    """The counts of a room over all partitions of a topic."""
    mine = [
        one for one in audit(simulation.client()) if one.group == f"everloop.{room}" and one.place.topic == topic.name
    ]
    return sum((Counter(one.counts) for one in mine), Counter())


def rows_repeated(simulation: Simulation, topic: topics.Topic) -> int:
    """Rows of records whose id stood in the topic before."""
    records = [
        record for place, found in simulation.broker.records.items() if place.topic == topic.name for record in found
    ]
    seen = Counter(dict(record.headers).get("ce_id") for record in records)
    again = {name: count - 1 for name, count in seen.items() if name and count > 1}
    size = {dict(record.headers).get("ce_id"): rows_of(record) for record in records}
    return sum(count * size[name] for name, count in again.items())


def test_each_row_is_in_exactly_one_count() -> None:
    simulation = run(a_stack())
    assert unbalanced(audit(simulation.client())) == []
    assert all(one.behind == 0 for one in audit(simulation.client()))
    read = totals(simulation, "drift.windows", topics.PREDICTIONS)
    assert read == Counter(
        counted=15 + 4, history=3, late=4, duplicate=5 + 4, quarantined=1 + 2 + 2 + 3 + 2 + 1 + 1 + 1 + (1 + 3 + 2)
    )
    outcomes = totals(simulation, "drift.windows", topics.OUTCOMES)
    assert outcomes == Counter(counted=9, history=2, quarantined=2)
    routed = totals(simulation, "ingest.route", topics.PREDICTIONS)
    assert routed == Counter(
        counted=15 + 5 + 2 + 1 + 2 + 2 + 2 + (4 + 4 + 3), history=3, quarantined=3 + 2 + 1 + 1 + 1 + (1 + 2)
    )
    assert totals(simulation, "ingest.join", topics.KEYS)["duplicate"] == 5 + 3 + 4
    archived = totals(simulation, "ingest.archive", topics.OUTCOMES)
    assert archived == Counter(counted=9, history=2, quarantined=2)


@pytest.mark.parametrize("share", range(8))
def test_a_crash_at_an_effect_leaves_the_books_as_they_are(share: int) -> None:
    simulation = run(a_stack(crash=lambda point: point.number % 41 == 5 * share and point.number < 410, seed=share))
    assert len(simulation.crashes) > 3
    assert [explained(one) for one in unbalanced(audit(simulation.client()))] == []
    assert totals(simulation, "drift.windows", topics.PREDICTIONS)["counted"] == 15 + 4
    archived = totals(simulation, "ingest.archive", topics.OUTCOMES)
    repeated = archived.pop("duplicate", 0)  # the join says the same outcomes again where it crashes before its commit
    assert archived == Counter(counted=9, history=2, quarantined=2)
    assert repeated == rows_repeated(simulation, topics.OUTCOMES)


# -------------------------------------------------------------------------------------------------------------- mutants


class DropsARow(WindowsFold):
    """Forgets the last row of every record."""

    def take(self, record: Record) -> None:
        event = None if record.value is None else read_event(record.value, record.headers)
        if isinstance(event, e.PredictionsLogged) and event.source == "serving":
            short = rows(str(event.id), *event.prediction_id[:-1]).model_copy(update={"id": event.id})
            value, headers = encode(short, source="test", recorded=NOON)
            record = Record(record.place, record.offset, record.key, value, headers)
        super().take(record)


class DropsARecord(WindowsFold):
    """Skips every second record of `predictions/0` without a word."""

    def take(self, record: Record) -> None:
        if record.place != Place(topics.PREDICTIONS.name, 0) or record.offset % 2:
            super().take(record)


class Forgets(WindowsFold):
    """Enters again what it reads again."""

    def take(self, record: Record) -> None:
        self.lanes[record.place].checked = record.offset - 1
        super().take(record)


def audited(make: Callable[[], WindowsFold], crash: Callable[[Point], bool] = lambda _: False) -> Simulation:
    simulation = a_stack(make, crash)
    tell(simulation.client())
    simulation.settle()
    return simulation


def test_a_mutant_that_drops_a_row_turns_the_command_red() -> None:
    stack = Stack(audited(lambda: DropsARow(lambda: NOON)).broker)
    said = stack.run("books")
    assert said.exit_code == 1
    wrong = "everloop.drift.windows everloop.predictions.v1/1 up to offset 2: 10 rows, 9 in the books"
    assert f"{wrong}, 1 are in no count" in said.stderr
    assert "outcomes" not in said.stderr
    values = {
        (one["topic"], one["partition"]): one for one in orjson.loads(stack.run("books", "--wrong", "--json").stdout)
    }
    assert values[topics.PREDICTIONS.name, 1]["difference"] == 1
    assert set(values) == {(topics.PREDICTIONS.name, number) for number in (0, 1, 3)}


def test_a_mutant_that_drops_a_record_is_found() -> None:
    (wrong,) = unbalanced(audit(audited(lambda: DropsARecord(lambda: NOON)).client()))
    assert (wrong.group, wrong.place, wrong.difference) == (
        "everloop.drift.windows", Place(topics.PREDICTIONS.name, 0), 5,
    )  # fmt: skip


def test_a_mutant_that_counts_again_what_it_reads_again_is_found() -> None:
    commits: list[Point] = []

    def crash(point: Point) -> bool:
        here = (point.process, point.moment, point.detail) == ("windows", "before", "everloop.drift.windows")
        commits.extend([point] if here else [])
        return here and len(commits) in {1, 2}

    found = unbalanced(audit(audited(lambda: Forgets(lambda: NOON), crash).client()))
    assert found
    assert all(one.difference < 0 for one in found)


# -------------------------------------------------------------------------------------------- a reader that is mistaken


def blind_to_structured(record: Record) -> int:
    """Counts what it cannot read as nothing."""
    return 0 if dict(record.headers).get("ce_type") is None else rows_of(record)


def records_for_rows(record: Record) -> int:
    return min(1, rows_of(record))


@pytest.mark.parametrize("reader", [blind_to_structured, records_for_rows])
def test_a_reader_that_is_wrong_does_not_balance(reader: Callable[[Record], int]) -> None:
    assert unbalanced(audit(run(a_stack()).client(), reader)) != []


# ---------------------------------------------------------------------------------------------------------- the command


def test_the_command_shows_each_partition() -> None:
    stack = Stack(run(a_stack()).broker)
    said = stack.run("books")
    assert said.exit_code == 0, said.output
    head, *lines = said.stdout.splitlines()
    assert head.split()[:6] == ["GROUP", "TOPIC", "PARTITION", "TO", "ROWS", "COUNTED"]
    (line,) = [one.split() for one in lines if one.startswith("everloop.drift.windows") and " predictions  2 " in one]
    assert line[2:] == ["2", "4", "3", "0", "3", "0", "0", "0", "0", "0"]


def test_nothing_committed_proves_nothing() -> None:
    simulation = a_stack()
    begin(simulation.client())
    assert "nothing is proven" in refusal(Stack(simulation.broker).run("books", "--wrong"), 1)


def test_books_that_are_ahead_of_the_commit_are_recounted_as_far_as_they_say() -> None:
    group = "everloop.drift.windows"
    simulation = a_stack(crash=lambda point: (point.effect, point.detail) == ("commit", group))
    tell(simulation.client())
    with pytest.raises(AssertionError, match="did not come to rest"):
        simulation.settle(20)
    assert simulation.broker.offsets.get("everloop.drift.windows", {}) == {}
    found = [one for one in audit(simulation.client()) if one.group == "everloop.drift.windows"]
    assert unbalanced(found) == []
    assert sum(one.recounted for one in found) > 0


def test_what_the_broker_has_deleted_is_owed_by_nobody() -> None:
    simulation = run(a_stack())
    place = Place(topics.PREDICTIONS.name, 0)
    gone = simulation.broker.records[place][:2]
    client = simulation.client()
    real = client.tail

    class Short:
        """A tail of a log whose first records are gone."""

        def __init__(self) -> None:
            self.tail = real()
            self.seek, self.close = self.tail.seek, self.tail.close

        def read_to(self, ends: dict[Place, int]) -> list[Record]:
            return [record for record in self.tail.read_to(ends) if record not in gone]

    client.tail = Short  # type: ignore[method-assign,assignment]  # a log that has forgotten
    (one, *_) = [one for one in audit(client) if one.place == place]
    assert (one.expired, one.balances) == (2, True)
    assert not Balance("g", place, 9, recounted=10, counts={"counted": 9}, expired=2).balances


def test_books_of_a_room_that_wrote_nothing_are_missing() -> None:
    simulation = a_stack()
    client = simulation.client()
    write(client, topics.PREDICTIONS, 0, rows("r", "a", "b"))
    client.commit_as("everloop.ingest.route", {Place(topics.PREDICTIONS.name, 0): 1})
    (wrong,) = unbalanced(audit(client))
    assert (wrong.group, wrong.difference, wrong.booked) == ("everloop.ingest.route", 2, 0)
