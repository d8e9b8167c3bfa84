"""Which files are merged, expire, or go: decided from the records of `archive` alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.archive.keeping import File
from everloop.events import Coverage, FilesExpired, FilesMerged, FilesRemoved, ManifestCommitted, Reason
from everloop_ingest.domain.keeping import (
    DAY_MS,
    FEWEST,
    MOST_BYTES,
    MOST_FILES,
    MOST_ROWS,
    Expire,
    Merge,
    Remove,
    Rules,
    Shelf,
    coverage_of,
    next_chore,
)
from tests.builders import HOUR_MS, NOON, a_fresh_id, a_manifest

COLUMNS = {"prediction_id": "string", "time": "int64"}
RULES = Rules(settle=100, grace=1_000, every=HOUR_MS)
LATER = 10_000


def a_file(number: int, *, rows: int = 10, day: int = 0, **more: object) -> ManifestCommitted:
    """File `number` of predictions/0, one record long."""
    said = a_manifest("predictions", {day * DAY_MS: rows}, name=str(number))
    mine = {"first_offset": number, "last_offset": number, "sha256": f"{number:064x}", "columns": COLUMNS, "size": 1000}
    return said.model_copy(update=mine | more)


def a_shelf(*files: File, appended: int = 0) -> Shelf:
    """A shelf that has heard of these."""
    shelf = Shelf()
    for file in files:
        shelf.hear(file, appended)
    return shelf


def a_merge(files: Sequence[File], number: int = 900) -> FilesMerged:
    """What the keeper says of these."""
    first, last = files[0], files[-1]
    return FilesMerged(
        id=a_fresh_id(), time=NOON, model="fraud", kind=first.kind, topic=first.topic, partition=first.partition,
        first_offset=first.first_offset, last_offset=last.last_offset, replaces=Merge(tuple(files)).parts,
        uri=f"memory://archive/{number}", sha256=f"{number:064x}", rows=sum(one.rows for one in files), history_rows=0,
        coverage=coverage_of(files), watermark=max(one.watermark for one in files), columns=COLUMNS, size=5_000,
    )  # fmt: skip


def merged(shelf: Shelf, wall: int = LATER) -> list[File]:
    """The files of the next merge; none when there is none."""
    chore = next_chore(shelf, RULES, wall, None)
    return list(chore.files) if isinstance(chore, Merge) else []


def test_enough_small_files_of_a_day_are_merged() -> None:
    files = [a_file(number) for number in range(FEWEST)]
    assert merged(a_shelf(*files[:-1])) == []
    assert merged(a_shelf(*files)) == files


def test_files_rest_before_they_are_merged() -> None:
    files = [a_file(number) for number in range(FEWEST)]
    assert merged(a_shelf(*files, appended=5_000), 5_099) == []
    assert merged(a_shelf(*files, appended=5_000), 5_100) == files


def test_of_a_closed_day_two_files_are_enough() -> None:
    files = [a_file(0), a_file(1), a_file(2, day=1)]
    assert merged(a_shelf(*files)) == files[:2]


def test_files_with_other_columns_are_not_merged() -> None:
    other = {**COLUMNS, "f.amount": "double"}
    files = [a_file(number, columns=other if number == 8 else COLUMNS) for number in range(FEWEST + 1)]
    assert merged(a_shelf(*files)) == files[:8]


def test_files_that_do_not_say_their_columns_stay_as_they_are() -> None:
    assert merged(a_shelf(*(a_file(number, columns=None) for number in range(FEWEST)))) == []


@pytest.mark.parametrize("large", [{"rows": MOST_ROWS // 2 + 1}, {"size": MOST_BYTES // 2 + 1}, {"size": None}])
def test_a_large_file_is_left_alone_and_parts_its_neighbours(large: dict[str, object]) -> None:
    files = [a_file(0), a_file(1), a_file(2).model_copy(update=large), a_file(3), a_file(4), a_file(5, day=1)]
    assert merged(a_shelf(*files)) == files[:2]
    assert merged(a_shelf(files[0], *files[2:])) == files[3:5]


def test_a_merge_is_bounded() -> None:
    many = [a_file(number, rows=1) for number in range(MOST_FILES + 9)]
    assert merged(a_shelf(*many)) == many[:MOST_FILES]
    heavy = [a_file(number, rows=MOST_ROWS // 20) for number in range(40)]
    assert sum(one.rows for one in merged(a_shelf(*heavy))) <= MOST_ROWS


def test_while_a_day_is_open_a_file_waits_for_as_many_rows_again() -> None:
    large, small = a_file(0, rows=1_000), [a_file(number, rows=10) for number in range(1, FEWEST)]
    assert merged(a_shelf(large, *small)) == []
    more = [a_file(FEWEST + number, rows=100) for number in range(20)]
    assert merged(a_shelf(large, *small, *more)) == [large, *small, *more]


def test_predictions_and_outcomes_are_not_mixed() -> None:
    outcomes = [a_file(n, kind="outcomes", topic="everloop.outcomes.v1", sha256=f"{n + 500:064x}") for n in range(9)]
    files = [one for number in range(9) for one in (a_file(number), outcomes[number])]
    assert merged(a_shelf(*files)) == []


def test_partitions_are_not_mixed() -> None:
    files = [a_file(number, partition=number % 2) for number in range(2 * FEWEST - 2)]
    assert merged(a_shelf(*files)) == []
    more = [*files, a_file(100, partition=1)]
    assert [one.partition for one in merged(a_shelf(*more))] == [1] * FEWEST


def test_a_merged_file_stands_where_its_parts_stood() -> None:
    files = [a_file(number) for number in range(4)]
    shelf, one = a_shelf(*files), a_merge(files[1:3])
    shelf.hear(one, 0)
    assert shelf.facts.manifests == (files[0], one, files[3])


@pytest.mark.parametrize("order", [[0, 2], [1, 0], [0, 1, 9], []])
def test_a_merge_of_what_does_not_stand_so_is_void(order: list[int]) -> None:
    files = [a_file(number) for number in range(10)]
    shelf = a_shelf(*files[:4])
    void = a_merge([files[number] for number in order] or files[:1]).model_copy(
        update={} if order else {"replaces": ()}
    )
    shelf.hear(void, 0)
    assert shelf.facts.manifests == tuple(files[:4])
    assert list(shelf.retired) == [void.sha256]


def test_of_two_merges_the_first_counts() -> None:
    files = [a_file(number) for number in range(4)]
    first, second = a_merge(files[:3]), a_merge(files[1:], 901)
    shelf = a_shelf(*files, first, second)
    assert shelf.facts.manifests == (first, files[3])
    assert set(shelf.retired) == {*(file.sha256 for file in files[:3]), second.sha256}


def test_rows_of_a_merged_file_are_not_announced_again() -> None:
    files = [a_file(number) for number in range(3)]
    shelf = a_shelf(*files, a_merge(files), a_file(2, sha256="f" * 64))
    assert len(shelf.facts.manifests) == 1


def removed(shelf: Shelf, wall: int) -> list[str]:
    chore = next_chore(shelf, RULES, wall, None)
    return [file.sha256 for file in chore.files] if isinstance(chore, Remove) else []


def test_bytes_stay_for_the_grace_and_go_once() -> None:
    files = [a_file(number) for number in range(2)]
    shelf = a_shelf(*files)
    shelf.hear(a_merge(files), 500)
    assert removed(shelf, 1_499) == []
    assert removed(shelf, 1_500) == [file.sha256 for file in files]
    shelf.hear(FilesRemoved.named("x", NOON, "fraud", files=tuple(file.sha256 for file in files)), 1_500)
    assert removed(shelf, LATER) == []


def test_bytes_that_a_counting_file_has_are_not_removed() -> None:
    file = a_file(0)
    shelf = a_shelf(file, file)
    assert (len(shelf.facts.manifests), removed(shelf, LATER)) == (1, [])


def test_a_file_expires_when_all_its_rows_have() -> None:
    old, mixed = a_file(0), a_file(1, coverage=(Coverage(start=0, rows=5), Coverage(start=9 * HOUR_MS, rows=5)))
    rules = Rules(settle=100, grace=1_000, keep=3 * HOUR_MS, every=HOUR_MS)
    shelf = a_shelf(old, mixed)
    assert next_chore(shelf, rules, LATER, 4 * HOUR_MS - 1) is None
    assert next_chore(shelf, rules, LATER, 4 * HOUR_MS) == Expire((old,), HOUR_MS)
    assert next_chore(shelf, rules, LATER, None) is None
    assert next_chore(shelf, RULES, LATER, 10**15) is None


def test_what_has_expired_counts_no_more_and_its_bytes_go_later() -> None:
    files = [a_file(0), a_file(1)]
    shelf = a_shelf(*files)
    gone = FilesExpired.named(
        "x", NOON, "fraud", files=(files[0].id, a_fresh_id()), rows=10, before=5, reason=Reason(rule="archive.keep")
    )
    shelf.hear(gone, 500)
    assert shelf.facts.manifests == (files[1],)
    assert removed(shelf, 1_500) == [files[0].sha256]


@given(st.lists(st.integers(1, 60_000), min_size=1, max_size=120), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_merging_to_the_end_keeps_every_row_and_writes_none_too_often(sizes: list[int], days: int) -> None:
    shelf, written = Shelf(), 0
    for number, rows in enumerate(sizes):
        shelf.hear(a_file(number, rows=rows, day=number * (days + 1) // len(sizes)), 0)
        while parts := merged(shelf):
            one = a_merge(parts, 1_000 + written)
            written += one.rows
            shelf.hear(one, 0)
    assert sum(one.rows for one in shelf.facts.manifests) == sum(sizes)
    assert written <= sum(sizes) * 6
