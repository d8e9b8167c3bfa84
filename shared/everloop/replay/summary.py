"""What came of a replay, in figures. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from everloop import events as e


@dataclass(frozen=True, slots=True)
class Summary:
    """`rows` were streamed. `auc` is prequential, of what was served; `auc_frozen` that of the first champion.

    `trainings`, `promotions` and `refusals` do not count the first version; `aborted` are rollouts that were taken
    back. An AUC is None for a task that is not binary, and where the rows have one class only.
    """

    model: str
    rows: int
    auc: float | None
    auc_frozen: float | None
    trainings: int
    promotions: int
    refusals: int
    aborted: int
    books_balanced: bool

    def to_plain(self) -> dict[str, object]:
        """As JSON says it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Turns:
    """How often something came of a turn of the loop."""

    trainings: int
    promotions: int
    refusals: int
    aborted: int


def count_turns(events: Iterable[e.Event]) -> Turns:
    """Count what the journals of one model say, without the first version."""
    known = list(events)
    first = {one.version for one in known if isinstance(one, e.VersionPromoted) and one.previous is None}
    return Turns(
        trainings=sum(isinstance(one, e.TrainingStarted) and one.attempt == 1 for one in known) - len(first),
        promotions=sum(isinstance(one, e.VersionPromoted) and one.previous is not None for one in known),
        refusals=sum(isinstance(one, e.VersionRefused) for one in known),
        aborted=sum(isinstance(one, e.RolloutAborted | e.VersionRolledBack) for one in known),
    )
