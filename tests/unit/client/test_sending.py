"""The order of what waits, where it waits, and what each answer of the other side leads to."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.client.backlog import Backlog
from everloop.client.intake import Intake
from everloop.client.limits import MOST_ROWS, Limits
from everloop.client.sending import LAST_S, LONGEST_S, Accepted, Answer, Later, Refused, delay, send_all
from everloop.client.spill import Spill
from everloop.client.tally import Stats, Tally
from everloop.client.values import About, Held
from tests.unit.client.fakes import FakeDoor, a_batch, names


def a_backlog(tally: Tally, spill: Path | None = None, most: int = 1 << 20, on_disk: int = 1 << 20) -> Backlog:
    return Backlog(most, None if spill is None else Spill(spill, on_disk, 1 << 16), tally)


def send(backlog: Backlog, *answers: Answer) -> FakeDoor:
    """Send all that waits."""
    door = FakeDoor(list(answers))
    backlog.close()
    send_all(backlog, door, Tally(), lambda: 0.0)
    return door


def test_batches_go_out_in_their_order_and_one_that_must_wait_holds_back_the_others() -> None:
    tally, backlog, door = Tally(), a_backlog(Tally()), FakeDoor([Later("not now", 0), Accepted(), Refused("no")])
    for name in "abc":
        backlog.push(a_batch(name, rows=2))
    backlog.close()
    send_all(backlog, door, tally, lambda: 0.9)
    assert names(door.got) == ["a", "a", "b", "c"]
    assert tally.stats(0, 0) == Stats(sent=4, refused=2)


def test_rows_that_the_other_side_has_not_taken_are_refused() -> None:
    tally, backlog = Tally(), a_backlog(Tally())
    backlog.push(a_batch("a", rows=5))
    backlog.close()
    send_all(backlog, FakeDoor([Accepted(2, "rule")]), tally)
    assert tally.stats(0, 0) == Stats(sent=3, refused=2)


def test_beyond_the_bound_the_newest_is_dropped_and_counted() -> None:
    tally = Tally()
    backlog = a_backlog(tally, most=3 * len(a_batch("a").body))
    for name in "abcde":
        backlog.push(a_batch(name))
    assert tally.stats(0, 0).dropped == 2
    assert names(send(backlog).got) == ["a", "b", "c"]


def test_beyond_the_bound_all_goes_to_disk_and_comes_back_in_its_order(tmp_path: Path) -> None:
    tally = Tally()
    backlog = a_backlog(tally, tmp_path, most=2 * len(a_batch("a").body))
    for name in "abcde":
        backlog.push(a_batch(name))
    assert backlog.waiting() == (0, 5)
    assert (tally.stats(0, 0).spilled, tally.stats(0, 0).dropped) == (5, 0)
    assert names(send(backlog).got) == list("abcde")


def test_a_full_disk_drops_the_newest_and_keeps_the_order(tmp_path: Path) -> None:
    tally, size = Tally(), len(a_batch("a").body)
    backlog = a_backlog(tally, tmp_path, most=2 * size, on_disk=int(4.5 * size) + 4 * 60)
    for name in "abcdefgh":
        backlog.push(a_batch(name))
    kept = names(send(backlog).got)
    assert kept == list("abcdefgh")[: len(kept)]
    assert tally.stats(0, 0).dropped == 8 - len(kept) > 0


def test_the_batch_in_flight_may_move_to_disk_and_is_forgotten_once(tmp_path: Path) -> None:
    backlog = a_backlog(Tally(), tmp_path, most=2 * len(a_batch("a").body))
    backlog.push(a_batch("a"))
    assert backlog.first() == a_batch("a")
    for name in "bcd":
        backlog.push(a_batch(name))
    assert backlog.waiting() == (0, 4)
    backlog.done()
    assert names(send(backlog).got) == ["b", "c", "d"]


def test_what_could_not_be_sent_lies_on_disk_at_once(tmp_path: Path) -> None:
    backlog = a_backlog(Tally(), tmp_path)
    backlog.push(a_batch("a"))
    backlog.push(a_batch("b"))
    backlog.keep()
    assert backlog.waiting() == (0, 2)
    assert names(send(backlog).got) == ["a", "b"]


def test_closing_with_a_spill_leaves_the_rest_to_the_next_process(tmp_path: Path) -> None:
    backlog = a_backlog(Tally(), tmp_path)
    for name in "ab":
        backlog.push(a_batch(name))
    assert names(send(backlog, Later("gone")).got) == ["a"]
    backlog.end()
    heir = a_backlog(Tally(), tmp_path)
    heir.adopt()
    assert names(send(heir).got) == ["a", "b"]


def test_the_end_drops_what_has_no_other_place() -> None:
    tally = Tally()
    backlog = a_backlog(tally)
    backlog.push(a_batch("a", rows=3))
    backlog.end()
    backlog.end()
    assert backlog.first() is None
    assert tally.stats(*backlog.waiting()) == Stats(dropped=3)


def test_a_transport_that_raises_is_tried_again() -> None:
    class Broken(FakeDoor):
        def send(self, batch: object) -> Answer:
            if not self.shut:
                self.shut = True
                raise RuntimeError("cnry")
            self.opened.set()
            return Accepted()

    backlog, door = a_backlog(Tally()), Broken()
    backlog.push(a_batch("a"))
    backlog.close()
    send_all(backlog, door, Tally(), lambda: 1.0)
    assert door.opened.is_set()


@given(st.integers(1, 10_000), st.floats(0, 0.999))
def test_pauses_double_with_jitter_up_to_a_bound(failures: int, chance: float) -> None:
    wait = delay(failures, None, chance)
    assert 0.125 <= wait <= LAST_S
    assert delay(failures + 1, None, chance) >= wait
    assert delay(failures, None, 0.0) / 2 <= wait


def test_the_other_side_may_ask_for_a_longer_pause_and_never_for_ever() -> None:
    assert delay(1, 7.0, 0.5) == 7.0
    assert delay(50, 1.0, 0.0) == LAST_S
    assert delay(1, 1e9, 0.0) == LONGEST_S


def a_call(rows: int = 1, size: int = 10) -> Held:
    return Held(rows, size, lambda: (About("labels", "fraud"), []), ())


def test_the_queue_is_bounded_by_rows_and_by_bytes_and_takes_one_large_call() -> None:
    by_rows, by_bytes = Intake(Limits(queue_rows=3)), Intake(Limits(queue_bytes=25))
    assert [by_rows.put(a_call(2)), by_rows.put(a_call(2)), by_rows.put(a_call())] == [True, False, True]
    assert [by_bytes.put(a_call()) for _ in range(3)] == [True, True, False]
    assert Intake(Limits(queue_rows=3)).put(a_call(5))
    assert by_rows.take(lambda: True) is not None
    by_rows.close()
    assert not by_rows.put(a_call())
    assert by_rows.take(lambda: True) is None


def test_rows_are_gathered_while_the_last_batch_is_on_its_way() -> None:
    intake = Intake(Limits(linger_s=0.001, batch_rows=10))
    answers = itertools.chain([False, False], itertools.cycle([True]))
    intake.put(a_call())
    assert intake.take(lambda: next(answers)) is not None
    for _ in range(10):
        intake.put(a_call())
    taken = intake.take(lambda: False)
    assert taken is not None
    assert len(taken) == 10


def test_many_threads_put_and_none_is_lost() -> None:
    intake, taken = Intake(Limits(linger_s=0.001)), list[Held]()

    def put() -> None:
        for _ in range(500):
            assert intake.put(a_call())

    def take() -> None:
        while (calls := intake.take(lambda: True)) is not None:
            taken.extend(calls)

    reader, writers = threading.Thread(target=take), [threading.Thread(target=put) for _ in range(8)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    intake.close()
    reader.join()
    assert len(taken) == 4000


@pytest.mark.parametrize("wrong", [{"queue_rows": 0}, {"linger_s": -1}, {"batch_rows": MOST_ROWS + 1}])
def test_limits_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=rf"^Limits\.{next(iter(wrong))} is"):
        Limits(**wrong)


def test_a_reason_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally()
    for _ in range(3):
        tally.add("refused", 2, "the front door answers 404 unknown_model")
    assert tally.stats(0, 0).refused == 6
    assert [record.getMessage() for record in caplog.records] == [
        "rows refused: the front door answers 404 unknown_model (said once; Client.stats() counts)"
    ]
