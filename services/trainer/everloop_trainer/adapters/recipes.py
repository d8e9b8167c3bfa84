"""Find what a recipe names, and fit it: a class of scikit-learn, or a class of your own with `fit`.

A class of your own takes no arguments and has `fit(features, labels, seed)`: features are numbers of shape (rows,
columns) without gaps, labels of shape (rows,). What it gives back is a fitted plain estimator: only what is on the
allow-list of `everloop.models` can become a version, the class itself never does.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from everloop.errors import InvalidError
from everloop.models import Kind, pipeline

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

REASON: Final = "recipe"
PARAMETERS: Final = 3


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned from: rows of `everloop.models.frame`, labels, and a weight per row if rows differ in it."""

    table: NDArray[np.object_]
    labels: NDArray[np.int64] | NDArray[np.float64]
    features: Mapping[str, Kind]
    weights: NDArray[np.float64] | None = None


def fit(recipe: str, lesson: Lesson, seed: int) -> Pipeline:
    """Give the fitted pipeline, preprocessing included. Raises `InvalidError("recipe")` with the fix."""
    from sklearn.base import BaseEstimator  # noqa: PLC0415 - costs seconds; the specification is checked first

    made = find(recipe)
    if issubclass(made, BaseEstimator):
        return _fit_estimator(recipe, made, lesson, seed)
    return _fit_own(recipe, made, lesson, seed)


def find(recipe: str) -> type[Any]:
    """Import the class `package.module.Name` or `package.module:Name`."""
    module, _, name = recipe.replace(":", ".").rpartition(".")
    try:
        made = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        message = f"recipe {recipe} cannot be imported ({type(error).__name__}); write package.module:Class of a class "
        raise InvalidError(REASON, message + "that the trainer's Python can import") from error
    if not inspect.isclass(made):
        raise InvalidError(REASON, f"recipe {recipe} is no class; name a scikit-learn class or one of your own")
    return made


def _fit_estimator(recipe: str, made: type[Any], lesson: Lesson, seed: int) -> Pipeline:
    from sklearn.utils.validation import has_fit_parameter  # noqa: PLC0415 - as above

    random = {"random_state": seed} if "random_state" in inspect.signature(made).parameters else {}
    whole = pipeline(made(**random), lesson.features)
    if lesson.weights is None:
        return whole.fit(lesson.table, lesson.labels)
    if not has_fit_parameter(made(), "sample_weight"):
        raise _takes_no_weights(recipe)
    return whole.fit(lesson.table, lesson.labels, estimator__sample_weight=lesson.weights)


def _fit_own(recipe: str, made: type[Any], lesson: Lesson, seed: int) -> Pipeline:
    from sklearn.pipeline import Pipeline  # noqa: PLC0415 - as above
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415 - as above

    if not callable(getattr(made, "fit", None)) or len(inspect.signature(made().fit).parameters) != PARAMETERS:
        raise InvalidError(REASON, f"recipe {recipe} has no fit(features, labels, seed); see adapters/recipes.py")
    if lesson.weights is not None:
        raise _takes_no_weights(recipe)
    columns = pipeline(DecisionTreeClassifier(), lesson.features).named_steps["columns"]  # its numbers suit any model
    numbers = columns.fit_transform(lesson.table).astype(np.float64)
    return Pipeline([("columns", columns), ("estimator", made().fit(numbers, lesson.labels, seed))])


def _takes_no_weights(recipe: str) -> InvalidError:
    return InvalidError(
        REASON, f"recipe {recipe} takes no sample weights; choose train.data other than weighted and tail"
    )
