"""The peer of `drift.verdict`: `python -m benchmarks.drift.verdict_peer ROUNDS`; seconds of CPU of a report as JSON.

Evidently's preset for drift with its own choice of one test per column. What is in its favour: both DataFrames and the
definition of their columns are made before, and the report is not rendered.
"""

from __future__ import annotations

import sys
import time
import warnings
from statistics import median

import orjson
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

from benchmarks.drift.verdict_ours import ROWS
from benchmarks.drift.world import CATEGORIES, NUMERIC, columns


def main(rounds: str) -> None:
    """Measure, after one round to warm up."""
    warnings.simplefilter("ignore")
    definition = DataDefinition(numerical_columns=list(NUMERIC), categorical_columns=list(CATEGORIES))
    current, reference = (pd.DataFrame(columns(ROWS, seed)) for seed in (2, 1))
    found = [_report(current, reference, definition) for _ in range(int(rounds) + 1)][1:]
    sys.stdout.write(orjson.dumps({"all": median(found)}).decode())


def _report(current: pd.DataFrame, reference: pd.DataFrame, definition: DataDefinition) -> float:
    began = time.process_time()
    sides = (Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference))
    found = Report([DataDriftPreset()]).run(*sides).dict()
    took = time.process_time() - began
    if len(found["metrics"]) != 1 + len(current.columns):
        raise SystemExit("the report does not have a test of every column")
    return took


if __name__ == "__main__":
    main(*sys.argv[1:])
