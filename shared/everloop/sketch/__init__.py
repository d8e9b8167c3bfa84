"""Mergeable counts of scored rows: integers only, so that merging is associative and commutative to the bit.

`columns` sketches inputs and scores of one (version, arm, slice) on its reference profile; `arms` sums per hash
bucket, the unit of evidence of a rollout; `labelled` counts scores by outcome. All have `empty()`, `merge`, and JSON
whose bytes are canonical.
"""

from everloop.sketch.arms import BUCKETS, ArmSums
from everloop.sketch.columns import ColumnSketch, Sketch, merge, observe
from everloop.sketch.labelled import GRID, Estimate, LabelledScores

__all__ = [
    "BUCKETS",
    "GRID",
    "ArmSums",
    "ColumnSketch",
    "Estimate",
    "LabelledScores",
    "Sketch",
    "merge",
    "observe",
]
