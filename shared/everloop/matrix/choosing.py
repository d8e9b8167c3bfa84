"""Which rows of the archive are in a matrix, and how much each weighs: queries, in the order in which they are asked.

A draw is a number from 0 to below 1 that follows from a text alone: the first 13 hexadecimal digits of its SHA-256,
divided by 16^13. So any engine draws the same rows, in whatever order it reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from everloop.events import Golden, Snapshot, Tail
from everloop.matrix.ports import FEATURE
from everloop.matrix.staging import Staged

if TYPE_CHECKING:
    import duckdb

GOLDEN_SALT: Final = "golden"
LABELS: Final = """
CREATE TEMP TABLE labels AS
SELECT prediction_id, max(labelled_at) AS labelled_at,
       arg_max_null(label, (labelled_at::HUGEINT << 62) + (file_index::BIGINT << 32) + file_row_number) AS label
FROM read_parquet($files, union_by_name = true) WHERE $as_of IS NULL OR labelled_at <= $as_of GROUP BY prediction_id
"""
KNOWN: Final = """
SELECT place, time, prediction_id, label, labelled_at{kept} FROM (
  SELECT prediction_id, min(place) AS place, arg_min(time, place) AS time{first}
  FROM (
    SELECT prediction_id, time, (file_index::BIGINT << 32) + file_row_number AS place{read}
    FROM read_parquet($files, union_by_name = true) WHERE time >= $since AND time < $end
  ) GROUP BY prediction_id
) JOIN labels USING (prediction_id) WHERE time >= $start{conditions}
"""
ALL: Final = "CREATE TEMP TABLE chosen AS SELECT place, label, labelled_at FROM ({known})"
NEWEST: Final = ALL + " ORDER BY time DESC, prediction_id DESC LIMIT $rows"
SAMPLED: Final = """
CREATE TEMP TABLE chosen AS
WITH known AS MATERIALIZED ({known}), older AS MATERIALIZED (
  SELECT *, {by} AS stratum, {draw} AS draw FROM known WHERE time < $before
), room AS (
  SELECT greatest(1, $rows // greatest(1, count(*))) AS each FROM (SELECT DISTINCT stratum FROM older)
), ranked AS (
  SELECT *, count(*) OVER (PARTITION BY stratum) AS size,
         row_number() OVER (PARTITION BY stratum ORDER BY draw, prediction_id) AS rank FROM older
)
SELECT place, label, labelled_at, 1.0::DOUBLE AS weight FROM known WHERE time >= $before
UNION ALL
SELECT place, label, labelled_at, greatest(1.0, size / each::DOUBLE) AS weight FROM ranked, room WHERE rank <= each
"""
DRAW: Final = "(('0x' || substr(sha256({salt} || ':' || {text}), 1, 13))::BIGINT / 4503599627370496.0)"
Asked = dict[str, object]


@dataclass
class Query:
    """What is asked of the predictions: columns that are looked at by the name here, conditions, and their values."""

    names: Mapping[str, str]
    kinds: Mapping[str, str]
    columns: dict[str, str] = field(default_factory=dict)
    conditions: list[str] = field(default_factory=list)
    asked: Asked = field(default_factory=dict)

    def column(self, name: str) -> str:
        """Look at a column of the archive; how it is called here."""
        here = f"c{list(self.columns).index(name) if name in self.columns else len(self.columns)}"
        self.columns[name] = here
        return here

    def value(self, value: object) -> str:
        """Name a value."""
        name = f"v{len(self.asked)}"
        self.asked[name] = value
        return f"${name}"

    def known(self) -> str:
        """The query of the labelled rows that the conditions leave."""
        read = ((quoted(self.names[name]) if name in self.names else "NULL", to) for name, to in self.columns.items())
        return KNOWN.format(
            read="".join(f", {source} AS {to}" for source, to in read),
            first="".join(f", arg_min_null({to}, place) AS {to}" for to in self.columns.values()),
            kept="".join(f", {to}" for to in self.columns.values()),
            conditions="".join(f" AND {one}" for one in self.conditions),
        )


def choose(
    database: duckdb.DuckDBPyConnection, snapshot: Snapshot, predictions: Staged, outcomes: Staged
) -> None:  # fmt: skip
    """Make the table `chosen`: where the rows stand, their labels, and their weights where there is a tail."""
    end = snapshot.end if snapshot.as_of is None else min(snapshot.end, snapshot.as_of + 1)
    database.execute(LABELS, {"files": outcomes.texts, "as_of": snapshot.as_of})
    since = snapshot.start if snapshot.known_since is None else snapshot.known_since
    asked: Asked = {"files": predictions.texts, "since": since, "start": snapshot.start, "end": end}
    query = Query(predictions.names, predictions.kinds, asked=asked)
    for name, values in snapshot.where.items():
        query.conditions.append(_is_one_of(query, FEATURE + name, values))
    if snapshot.golden is not None:
        query.conditions.append(_golden(query, snapshot.golden))
    database.execute(_chosen(query, snapshot), query.asked)


def _chosen(query: Query, snapshot: Snapshot) -> str:
    if snapshot.tail is not None:
        return _sampled(query, snapshot.tail)
    if snapshot.rows is None:
        return ALL.format(known=query.known())
    query.asked["rows"] = snapshot.rows
    return NEWEST.format(known=query.known())


def _is_one_of(query: Query, name: str, values: tuple[str | float, ...]) -> str:
    """Texts are compared with texts, numbers with numbers; a column that no file has is none of them."""
    kind = str if query.kinds.get(name) == "string" else float
    column = query.column(name)
    return (
        f"list_contains({query.value([one for one in values if isinstance(one, kind)])}::{kind_of(kind)}[], {column})"
    )


def _golden(query: Query, golden: Golden) -> str:
    """A row without an entity is its own."""
    if golden.share is not None:
        text = f"coalesce({query.column('entity_id')}, prediction_id)"
        inside = f"{DRAW.format(salt=query.value(GOLDEN_SALT), text=text)} < {query.value(golden.share)}"
    else:
        inside = f"time >= {query.value(golden.start)} AND time < {query.value(golden.end)}"
    return f"({inside})" if golden.inside else f"NOT ({inside})"


def _sampled(query: Query, tail: Tail) -> str:
    by = "label" if tail.by == "label" else "NULL" if tail.by is None else query.column(FEATURE + tail.by)
    draw = DRAW.format(salt=query.value(str(tail.seed)), text="prediction_id")
    query.asked |= {"before": tail.before, "rows": tail.rows}
    return SAMPLED.format(known=query.known(), by=by, draw=draw)


def kind_of(kind: type) -> str:
    """The engine's name of a type."""
    return "VARCHAR" if kind is str else "DOUBLE"


def quoted(name: str) -> str:
    """A name as it stands in a query."""
    return '"' + name.replace('"', '""') + '"'
