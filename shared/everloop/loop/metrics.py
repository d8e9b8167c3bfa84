"""Which metrics a task has, which of them is primary, and in which direction each is better."""

from typing import Literal

Task = Literal["binary", "multiclass", "regression"]
Metric = Literal["roc_auc", "log_loss", "brier", "accuracy", "rmse", "mae"]

METRICS: dict[Task, tuple[Metric, ...]] = {
    "binary": ("roc_auc", "log_loss", "brier", "accuracy"),
    "multiclass": ("accuracy", "log_loss"),
    "regression": ("rmse", "mae"),
}
"""The first of each is the primary metric: the one that quality and the comparison with the champion watch."""

HIGHER_IS_BETTER: frozenset[Metric] = frozenset({"roc_auc", "accuracy"})
"""The others are losses: a floor on them is the largest value that passes."""

AT_MOST_ONE: frozenset[Metric] = frozenset({"roc_auc", "accuracy", "brier"})


def primary(task: Task) -> Metric:
    """The metric that stands for the worth of a model of this task."""
    return METRICS[task][0]
