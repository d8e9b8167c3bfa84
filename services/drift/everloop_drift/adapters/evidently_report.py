"""Evidently's report of two samples: the one module that knows it. Imported by a child process alone.

It costs five seconds and 300 MB to import, and raises on columns without values, each time another error (all of which
was measured on version 0.7.23). So columns are looked at first, and where it raises still, the columns that it cannot
take are found one by one and left out by name.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from everloop.events import ColumnTest, ReportSpec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Evidently 0.7 touches numpy's old names while it is imported
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

MOST_CATEGORIES: Final = 100
"""As in the windows: the most frequent ones, the others are one."""
OTHER: Final = "other"
FEWEST_VALUES: Final = 2
_NUMERIC: Final = {"psi": "psi", "ks": "ks", "chi_square": "ks", "jensen_shannon": "jensenshannon",
                   "wasserstein": "wasserstein"}  # fmt: skip
_CATEGORICAL: Final = {"psi": "psi", "ks": "chisquare", "chi_square": "chisquare", "jensen_shannon": "jensenshannon",
                       "wasserstein": "jensenshannon"}  # fmt: skip
"""Its name of our test, for either kind of column. Its own choice would change with the number of rows."""


@dataclass(frozen=True, slots=True)
class Page:
    """The report as a self-contained page and as data; why columns are not in it."""

    html: bytes
    data: bytes
    left_out: Mapping[str, str]


def write(reference: pd.DataFrame, current: pd.DataFrame, spec: ReportSpec) -> Page | None:
    """Compare column by column by the loop file's tests; None where no column can be compared."""
    left_out = {name: why for name in spec.features if (why := _unfit(reference[name], current[name]))}
    capped = [_capped(reference[name], current[name]) for name in spec.features if name not in left_out]
    sides = [pd.DataFrame({one.name: one for one in side}) for side in zip(*capped, strict=True)]
    names = [name for name in spec.features if name not in left_out]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty bins and the like: the page shows them
        try:
            found = _run(sides, names, spec) if names else None
        except Exception:  # noqa: BLE001 - it has no error of its own, see above
            refused = {name: why for name in names if (why := _refused(sides, name, spec))}
            left_out |= refused
            names = [name for name in names if name not in refused]
            found = _run(sides, names, spec) if names else None
        if found is None:
            return None
        return Page(found.get_html_str(as_iframe=False).encode(), found.json().encode(), left_out)


def _run(sides: list[pd.DataFrame], names: list[str], spec: ReportSpec) -> Any:  # noqa: ANN401 - untyped
    numeric = [name for name in names if spec.features[name] == "numeric"]
    definition = DataDefinition(
        numerical_columns=numeric, categorical_columns=[name for name in names if name not in numeric]
    )
    reference, current = (Dataset.from_pandas(side[names], data_definition=definition) for side in sides)
    rules = {name: spec.columns.get(name, spec.default) for name in names}
    drift = DataDriftPreset(
        columns=names, drift_share=spec.share,
        per_column_method={name: _method(rule, spec.features[name]) for name, rule in rules.items()},
        per_column_threshold={name: rule.limit for name, rule in rules.items()},
    )  # fmt: skip
    return Report([drift, DataSummaryPreset(columns=names)]).run(current, reference)


def _refused(sides: list[pd.DataFrame], name: str, spec: ReportSpec) -> str | None:
    try:
        _run(sides, [name], spec)
    except Exception as error:  # noqa: BLE001 - as above
        return f"Evidently raised {type(error).__name__}"
    return None


def _method(rule: ColumnTest, kind: str) -> str:
    return (_NUMERIC if kind == "numeric" else _CATEGORICAL)[rule.test]


def _unfit(reference: pd.Series[Any], current: pd.Series[Any]) -> str | None:
    for side, column in (("reference", reference), ("window", current)):
        if column.notna().sum() < FEWEST_VALUES:
            return f"fewer than {FEWEST_VALUES} values in the {side}"
    return None


def _capped(reference: pd.Series[Any], current: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """A page with thousands of categories is of no use to anybody."""
    if reference.dtype.kind == "f":
        return reference, current
    seen = pd.concat([reference, current]).value_counts()
    if len(seen) <= MOST_CATEGORIES:
        return reference, current
    rest = set(seen.sort_index().sort_values(ascending=False, kind="stable").index[MOST_CATEGORIES:])
    return reference.where(~reference.isin(rest), OTHER), current.where(~current.isin(rest), OTHER)
