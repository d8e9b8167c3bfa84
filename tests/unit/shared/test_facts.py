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
