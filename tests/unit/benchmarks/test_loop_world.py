"""The model of `loop.overhead`: nothing but the run is waited for when its episode opens."""

from __future__ import annotations

from benchmarks.loop.world import course


def test_two_windows_follow_the_history_and_all_labels_are_there_at_their_end() -> None:
    played = course("m")
    legs = list(played.legs())
    assert [len(leg.rows.ids) for leg in legs] == [1_600, 1_600]
    assert all(set(leg.rows.ids) == set(leg.labels.ids) for leg in legs)
    assert len(legs[1].labels.ids) >= played.loop.train.fresh_labels


def test_ids_are_the_model_s_own_and_rows_the_same_for_each() -> None:
    one, two = course("one"), course("two")
    assert set(one.rows.ids).isdisjoint(two.rows.ids)
    assert one.rows.features == two.rows.features
