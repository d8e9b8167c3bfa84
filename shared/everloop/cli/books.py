"""`everloop books`: recount the rows of the topics, and hold them against what each room says became of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, FailedError, JsonOption, VarOption, guarded, session_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everloop.books import Balance


def register(app: typer.Typer) -> None:
    """Add this command to the main application."""
    app.command()(books)


@guarded
def books(
    context: typer.Context,
    wrong: Annotated[bool, typer.Option("--wrong", help="Show only what does not balance.")] = False,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Recount every row from the topics: each must be in exactly one count of the books. Exit code 1 when not."""
    from everloop.books import audit, unbalanced
    from everloop.cli.output import print_json, print_table

    with session_of(context).connect(broker, var) as log:
        balances = audit(log)
    shown = unbalanced(balances) if wrong else [one for one in balances if one.end or one.booked]
    if json:
        print_json([book_value(one) for one in shown])
    elif shown:
        print_table(("group", "topic", "partition", *COLUMNS), [_cells(one) for one in shown])
    judge(balances)


COLUMNS = ("to", "rows", "counted", "history", "late", "duplicate", "quarantined", "difference", "behind")


def book_value(one: Balance) -> dict[str, object]:
    """One partition as JSON says it."""
    place = {"topic": one.place.topic, "partition": one.place.partition}
    known = {name: value for name, value in asdict(one).items() if name not in {"group", "place"}}
    sums = {"booked": one.booked, "difference": one.difference, "balances": one.balances}
    return {"group": one.group, **place, **known, **sums}


def judge(balances: Sequence[Balance]) -> None:
    """Raise `FailedError` with every partition that does not balance; and when no row was counted at all."""
    from everloop.books import unbalanced

    if found := unbalanced(balances):
        raise FailedError("the books do not balance: " + "; ".join(map(explained, found)))
    if not any(one.recounted for one in balances):
        raise FailedError("no group has committed a row yet: there is nothing to recount, and nothing is proven")


def explained(one: Balance) -> str:
    """Group, topic, partition, and by how much the books are wrong."""
    rows, where = abs(one.difference), f"{one.group} {one.place.topic}/{one.place.partition} up to offset {one.end}"
    kind = "are in no count" if one.difference > 0 else "are counted that the topic does not have"
    return f"{where}: {one.recounted} rows, {one.booked} in the books, {rows} {kind}"


def _cells(one: Balance) -> list[str]:
    figures = {"to": one.end, "rows": one.recounted, **one.counts, "difference": one.difference, "behind": one.behind}
    topic = one.place.topic.removeprefix("everloop.").removesuffix(".v1")
    return [one.group, topic, str(one.place.partition), *(str(figures.get(name, 0)) for name in COLUMNS)]
