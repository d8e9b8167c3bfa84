"""Mergeable counts of rows: integers only, so that merging is associative and commutative to the bit.

`inputs` counts features and scores of one (version, arm, schema, slice) on the bins of its `layout`, which is made of
the reference profile; `sums` adds up per hash bucket, the unit of evidence of a rollout, and `arms` is the value that
a window carries of it; `labelled` counts scores by outcome, `segment_labels` once more by the values of declared
columns. All have JSON forms whose bytes are canonical.
"""

from everloop.sketch.arms import BUCKETS, ArmSums
from everloop.sketch.classified import GRID
from everloop.sketch.inputs import Inputs
from everloop.sketch.labelled import Labelled
from everloop.sketch.layout import AS_PROFILE, Layout, Schema
from everloop.sketch.segment_labels import SegmentLabels
from everloop.sketch.sums import Sums

__all__ = [
    "AS_PROFILE",
    "BUCKETS",
    "GRID",
    "ArmSums",
    "Inputs",
    "Labelled",
    "Layout",
    "Schema",
    "SegmentLabels",
    "Sums",
]
