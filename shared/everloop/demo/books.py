"""The books at the end of a demo: the recount of `everloop.books`, and a demo without rows proves nothing."""

from __future__ import annotations

from typing import Final

from everloop import books
from everloop.books import Balance
from everloop.runtime.log import Log

GROUP: Final = "everloop.drift.windows"


def recount(log: Log) -> list[Balance]:
    """Every partition of every group that keeps books."""
    return books.audit(log)


def unbalanced(balances: list[Balance]) -> list[Balance]:
    """Partitions where the two differ; all of them when there was nothing to count."""
    if not any(balance.recounted for balance in balances):
        return balances
    return books.unbalanced(balances)
