"""The auditor: rows recounted from the topics, held against what services say became of them (DESIGN rule 14).

`reading` says how many rows a record has, from its bytes alone: it shares no code with the services that count, and
nothing of `codec` either. `balance` adds them up per group, topic and partition, and compares.
"""

from everloop.books.balance import KEEPERS, Balance, audit, unbalanced
from everloop.books.reading import rows_of

__all__ = ["KEEPERS", "Balance", "audit", "rows_of", "unbalanced"]
