"""Loop files: everything that a person decides about one model.

`watching` (columns, windows, labels, drift), `feedback`, `training`, `deciding` (gate, rollout, owner) hold the parts,
`root` the whole, `metrics` what a task can be measured by, `types` how values are written, `schema` the published JSON
Schema. Reading a file, with its line numbers, is `everloop.loopfile`.
"""

from everloop.loop.deciding import Abort, Gate, Keep, Owner, Rollout
from everloop.loop.feedback import Feedback
from everloop.loop.metrics import AT_MOST_ONE, HIGHER_IS_BETTER, METRICS, Metric, Task, primary
from everloop.loop.root import Loop, loop_digest
from everloop.loop.schema import SCHEMA_ID, json_schema
from everloop.loop.training import Cause, Data, Strategy, Train
from everloop.loop.watching import (
    LIMITS,
    P_VALUE_TESTS,
    Archive,
    Columns,
    Concept,
    Detector,
    Door,
    Drift,
    FeatureKind,
    Labels,
    Limit,
    Quality,
    Segments,
    Test,
    Windows,
)

__all__ = [
    "AT_MOST_ONE",
    "HIGHER_IS_BETTER",
    "LIMITS",
    "METRICS",
    "P_VALUE_TESTS",
    "SCHEMA_ID",
    "Abort",
    "Archive",
    "Cause",
    "Columns",
    "Concept",
    "Data",
    "Detector",
    "Door",
    "Drift",
    "FeatureKind",
    "Feedback",
    "Gate",
    "Keep",
    "Labels",
    "Limit",
    "Loop",
    "Metric",
    "Owner",
    "Quality",
    "Rollout",
    "Segments",
    "Strategy",
    "Task",
    "Test",
    "Train",
    "Windows",
    "json_schema",
    "loop_digest",
    "primary",
]
