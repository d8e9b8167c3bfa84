"""Evidently's report of two samples: the one module that knows it. Imported by a child process alone.

It costs five seconds and 300 MB to import, and raises on columns without values and on numbers near the end of what a
float can hold. So columns are looked at first, and where it raises still, the columns that it cannot take are found one
by one and left out by name. It puts names and categories into a script of its page as they are (all of which was
measured on version 0.7.23): whoever sends rows could run code in the reader's browser. So signs of markup are replaced.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import pandas as pd

from everloop.events import ColumnTest, ReportSpec

MOST_CATEGORIES: Final = 100
"""As in the windows: the most frequent ones, the others are one."""
OTHER: Final = "other"
FEWEST_VALUES: Final = 2
_NUMERIC: Final = {"psi": "psi", "ks": "ks", "chi_square": "ks", "jensen_shannon": "jensenshannon",
                   "wasserstein": "wasserstein"}  # fmt: skip
_CATEGORICAL: Final = {"psi": "psi", "ks": "chisquare", "chi_square": "chisquare", "jensen_shannon": "jensenshannon",
                       "wasserstein": "jensenshannon"}  # fmt: skip
"""Its name of our test, for either kind of column. Its own choice would change with the number of rows."""
_MARKUP: Final = str.maketrans("<>&", "[]+")


@dataclass(frozen=True, slots=True)
class Page:
    """The report as a self-contained page and as data; why columns are not in it."""

    html: bytes
    data: bytes
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of both samples, under the name and with the rule by which it is shown."""

    shown: str
    kind: str
    rule: ColumnTest
    reference: pd.Series[Any]
    current: pd.Series[Any]

    @property
    def method(self) -> str:
        return (_NUMERIC if self.kind == "numeric" else _CATEGORICAL)[self.rule.test]


def write(reference: pd.DataFrame, current: pd.DataFrame, spec: ReportSpec) -> Page | None:
    """Compare column by column by the loop file's tests; None where no column can be compared."""
    left_out = {name: why for name in spec.features if (why := _unfit(reference[name], current[name]))}
    fit = [name for name in spec.features if name not in left_out]
    columns = {name: _column(name, reference[name], current[name], spec) for name in fit}
    shown = [one.shown for one in columns.values()]
    left_out |= {name: "shown under the name of another" for name, one in columns.items() if shown.count(one.shown) > 1}
    columns = {name: one for name, one in columns.items() if name not in left_out}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy's old names while it is imported, of empty bins and the like later
        try:
            found = _run(list(columns.values()), spec.share)
        except Exception:  # noqa: BLE001 - it has no error of its own, see above
            left_out |= {name: why for name, one in columns.items() if (why := _refused(one, spec.share))}
            found = _run([one for name, one in columns.items() if name not in left_out], spec.share)
        if found is None:
            return None
        page = found.get_html_str(as_iframe=False).encode()
    data = json.loads(found.json(), parse_constant=lambda _: None)  # its NaN is no JSON
    return Page(page, orjson.dumps(data), left_out)


def _column(name: str, reference: pd.Series[Any], current: pd.Series[Any], spec: ReportSpec) -> _Column:
    kind, rule = spec.features[name], spec.columns.get(name, spec.default)
    if kind != "numeric":
        reference, current = _capped(*(side.map(_plain, na_action="ignore") for side in (reference, current)))
    return _Column(_plain(name), kind, rule, reference, current)


def _plain(text: str) -> str:
    """Without signs of markup."""
    return text.translate(_MARKUP)


def _run(columns: Sequence[_Column], share: float) -> Any:  # noqa: ANN401 - untyped
    from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415 - opens sockets while it is imported
    from evidently.presets import DataDriftPreset, DataSummaryPreset  # noqa: PLC0415 - as above

    if not columns:
        return None
    names = [one.shown for one in columns]
    definition = DataDefinition(
        numerical_columns=[one.shown for one in columns if one.kind == "numeric"],
        categorical_columns=[one.shown for one in columns if one.kind != "numeric"],
    )
    reference, current = (
        Dataset.from_pandas(pd.DataFrame(side), data_definition=definition)
        for side in ({one.shown: one.reference for one in columns}, {one.shown: one.current for one in columns})
    )
    drift = DataDriftPreset(
        columns=names, drift_share=share, per_column_method={one.shown: one.method for one in columns},
        per_column_threshold={one.shown: one.rule.limit for one in columns},
    )  # fmt: skip
    return Report([drift, DataSummaryPreset(columns=names)]).run(current, reference)


def _refused(column: _Column, share: float) -> str | None:
    try:
        _run([column], share)
    except Exception as error:  # noqa: BLE001 - as above
        return f"Evidently raised {type(error).__name__}"
    return None


def _unfit(reference: pd.Series[Any], current: pd.Series[Any]) -> str | None:
    for side, column in (("reference", reference), ("window", current)):
        if column.notna().sum() < FEWEST_VALUES:
            return f"fewer than {FEWEST_VALUES} values in the {side}"
    return None


def _capped(reference: pd.Series[Any], current: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """A page with thousands of categories is of no use to anybody."""
    seen = pd.concat([reference, current]).value_counts()
    if len(seen) <= MOST_CATEGORIES:
        return reference, current
    rest = set(seen.sort_index().sort_values(ascending=False, kind="stable").index[MOST_CATEGORIES:])
    return reference.where(~reference.isin(rest), OTHER), current.where(~current.isin(rest), OTHER)
