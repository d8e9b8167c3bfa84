"""Rows of the topic `predictions`: one fast reader for all services, of every form that a producer may send.

`read_rows` and `read_record` read JSON columns (binary and structured CloudEvents), plain rows and Arrow streams;
`write_rows` writes an Arrow stream. What is accepted is what `everloop.events.PredictionsLogged` says.
"""

from everloop.rows.reading import kind_of, read_event, read_record, read_rows
from everloop.rows.values import Categories, Column, Rows, listed, rows_of
from everloop.rows.writing import write_rows

__all__ = [
    "Categories",
    "Column",
    "Rows",
    "kind_of",
    "listed",
    "read_event",
    "read_record",
    "read_rows",
    "rows_of",
    "write_rows",
]
