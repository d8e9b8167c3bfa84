"""The trainer's preprocessing: from the rows of `manifest.frame` to what an estimator takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from everloop.models.manifest import Kind

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

UNKNOWN: Final = -1
MISSING: Final = -2
MOST_CATEGORIES: Final = 64
_HISTOGRAM: Final = "sklearn.ensemble._hist_gradient_boosting."
_TREES: Final = ("sklearn.tree.", "sklearn.ensemble.")


def pipeline(estimator: BaseEstimator, features: Mapping[str, Kind]) -> Pipeline:
    """Give the unfitted pipeline for `frame(columns, features)`.

    Histogram models take numbers as they are, missing ones too; other trees get the median of the training rows for a
    missing number. Both take a category as a code: -1 unknown, -2 missing. All other models get numbers that are also
    scaled, and a column per category (64 at most, the rarer ones together), since a code's order means nothing to them.
    """
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415 - costs seconds; only a trainer pays
    from sklearn.pipeline import Pipeline  # noqa: PLC0415 - as above

    where = type(estimator).__module__
    parts = [("numeric", _numeric(where), _places(features, "numeric"))]
    parts.append(("categorical", _categorical(where), _places(features, "categorical")))
    used = [part for part in parts if part[2]]
    return Pipeline([("columns", ColumnTransformer(used)), ("estimator", estimator)])


def _places(features: Mapping[str, Kind], kind: Kind) -> list[int]:
    return [place for place, found in enumerate(features.values()) if found == kind]


def _numeric(where: str) -> Any:  # noqa: ANN401 - a transformer, or scikit-learn's word for none
    from sklearn.impute import SimpleImputer  # noqa: PLC0415 - as above
    from sklearn.pipeline import Pipeline  # noqa: PLC0415 - as above
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - as above

    if where.startswith(_HISTOGRAM):
        return "passthrough"
    # A column without any value stays, as zeros: the width must be that of the manifest.
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return imputer if where.startswith(_TREES) else Pipeline([("impute", imputer), ("scale", StandardScaler())])


def _categorical(where: str) -> Any:  # noqa: ANN401 - one of two transformers
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder  # noqa: PLC0415 - as above

    if where.startswith(_TREES):
        return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=UNKNOWN, encoded_missing_value=MISSING)
    return OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES, sparse_output=False)
