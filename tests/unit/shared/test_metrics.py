"""The list of metrics is closed, and so are their labels."""

from __future__ import annotations

from typing import get_args

import pytest

from everloop.metrics import LABELS, METRICS, MOST_MODELS, Label, Metrics, Name


def test_the_list_is_closed_and_complete() -> None:
    assert tuple(METRICS) == get_args(Name)
    assert set(LABELS) == set(get_args(Label))
    assert {name.endswith("_total") for name, metric in METRICS.items() if metric.kind == "counter"} == {True}


def test_counting() -> None:
    metrics = Metrics()
    metrics.know(["fraud"])
    metrics.inc("everloop_archive_rows_total", 3, kind="outcomes", model="fraud")
    metrics.inc("everloop_archive_rows_total", 4, kind="outcomes", model="fraud")
    assert metrics.value("everloop_archive_rows_total", kind="outcomes", model="fraud") == 7
    assert b'everloop_archive_rows_total{kind="outcomes",model="fraud"} 7.0' in metrics.render()


def test_ten_thousand_unknown_models_are_one_series() -> None:
    metrics = Metrics()
    for number in range(10_000):
        metrics.inc("everloop_duplicate_rows_total", model=f"model{number}")
    assert metrics.value("everloop_duplicate_rows_total", model="other") == 10_000
    assert metrics.render().count(b"everloop_duplicate_rows_total{") == 1


def test_known_models_are_bounded() -> None:
    metrics = Metrics()
    names = [f"model{number:05}" for number in range(MOST_MODELS + 1)]
    metrics.know(names)
    for name in names:
        metrics.inc("everloop_duplicate_rows_total", model=name)
    assert metrics.value("everloop_duplicate_rows_total", model="other") == 1


def test_a_label_from_outside_is_other() -> None:
    metrics = Metrics()
    metrics.inc("everloop_dead_letters_total", topic="evil\n", reason="shape")
    assert metrics.value("everloop_dead_letters_total", topic="other", reason="shape") == 1


def test_kinds_and_labels_are_held() -> None:
    metrics = Metrics()
    with pytest.raises(TypeError, match="gauge"):
        metrics.inc("everloop_ready")
    with pytest.raises(TypeError, match="counter"):
        metrics.set("everloop_heartbeats_total", 1)
    with pytest.raises(TypeError, match="gauge"):
        metrics.observe("everloop_ready", 1)
    with pytest.raises(ValueError, match="labels topic, reason"):
        metrics.inc("everloop_dead_letters_total", topic="x")
