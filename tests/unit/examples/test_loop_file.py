"""The loop file and the stream are two halves of one scenario; they have to agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from examples.fraud.stream import ENTITY, ID, LABEL, TIME, Scenario

LOOP: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[3] / "examples" / "fraud" / "loop.yaml").read_text(encoding="utf-8")
)


def test_columns_are_those_of_the_stream() -> None:
    assert LOOP["columns"] == {"id": ID, "time": TIME, "label": LABEL, "entity": ENTITY}


def test_limits_are_the_defaults() -> None:
    assert "drift" not in LOOP
    assert set(LOOP["gate"]) == {"floor"}


def test_training_waits_until_its_range_holds_the_new_world_only_with_one_window_to_spare() -> None:
    scenario = Scenario()
    assert scenario.covariate_at is not None
    assert scenario.concept_at is not None
    waited = -(-LOOP["train"]["fresh_labels"] // scenario.rows_per_window)
    ranged = int(LOOP["train"]["data"]["rolling"].removesuffix("h"))
    assert scenario.covariate_at + waited - ranged > scenario.concept_at
    assert ranged == scenario.history_windows


def test_one_window_of_the_first_step_has_enough_rows() -> None:
    assert LOOP["rollout"]["min_rows"] <= 0.65 * 0.10 * Scenario().rows_per_window
