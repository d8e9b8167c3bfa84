"""Facts are folds: what ticks may know beside the own journal."""

from __future__ import annotations

from everloop.facts import Facts, fold
from tests.builders import a_manifest


def test_rows_that_two_writers_archived_are_counted_once() -> None:
    first = a_manifest("outcomes", {0: 10})
    again = first.model_copy(update={"uri": "memory://elsewhere", "sha256": "f" * 64})
    facts = fold(fold(Facts(), first), again)
    assert facts.manifests == (first,)


def test_files_of_other_partitions_and_later_offsets_count() -> None:
    first = a_manifest("outcomes", {0: 10})
    later = first.model_copy(update={"first_offset": first.last_offset + 1, "last_offset": first.last_offset + 5})
    beside = first.model_copy(update={"partition": first.partition + 1})
    facts = fold(fold(fold(Facts(), first), later), beside)
    assert facts.manifests == (first, later, beside)


def test_files_are_in_the_order_of_their_rows_not_of_their_manifests() -> None:
    first = a_manifest("outcomes", {0: 10})
    later = first.model_copy(update={"first_offset": first.last_offset + 1, "last_offset": first.last_offset + 5})
    beside = first.model_copy(update={"partition": first.partition + 1})
    named = [one.model_copy(update={"uri": name}) for one, name in ((first, "a"), (beside, "c"), (later, "b"))]
    assert [file.uri for file in Facts(manifests=tuple(named)).files("outcomes", 0, 1)] == ["a", "b", "c"]


def test_how_far_back_so_many_rows_reach() -> None:
    facts = Facts(manifests=(a_manifest("outcomes", {0: 10, 20: 5}), a_manifest("outcomes", {10: 3, 20: 1})))
    reached = {rows: facts.reach("outcomes", rows, 21) for rows in (1, 6, 7, 9, 10, 19, 20)}
    assert reached == {1: 20, 6: 20, 7: 10, 9: 10, 10: 0, 19: 0, 20: 0}
    assert facts.reach("outcomes", 1, 20) == 10
    assert Facts().reach("outcomes", 1, 21) == 0
