"""The window rules of one model, in whole milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter

from everloop.loop import Labels, Task, Windows

if TYPE_CHECKING:
    from datetime import timedelta

Kind = Literal["inputs", "outcomes"]
_TASK: TypeAdapter[Task] = TypeAdapter(Task)
_DECLARED: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])
KINDS: tuple[Kind, Kind] = ("inputs", "outcomes")


@dataclass(frozen=True, slots=True)
class WindowRules:
    """`slack` is how long after its end a slice stays open, by kind; `revise` how long late rows are taken after that.

    A window is `size` long, or has at least `rows` rows. Quality is never closed before the window itself. `feedback`
    are the names that the loop file declares.
    """

    every: int
    size: int
    rows: int | None
    sliding: bool
    grace: int
    horizon: int
    revise: int
    task: Task
    feedback: tuple[str, ...] = ()

    @classmethod
    def of_payload(cls, loop: Mapping[str, object]) -> WindowRules:
        """Read them from a loop file as it travels; the rest of it is not looked at. Raises `ValidationError`."""
        windows, labels = Windows.model_validate(loop.get("windows", {})), Labels.model_validate(loop.get("labels", {}))
        every = milliseconds(windows.every)
        size = milliseconds(windows.size) if windows.size is not None else every
        return cls(
            every=every,
            size=size,
            rows=windows.rows,
            sliding=windows.sliding or size > every,
            grace=milliseconds(windows.grace),
            horizon=max(milliseconds(windows.grace), milliseconds(labels.horizon)),
            revise=milliseconds(windows.revise),
            task=_TASK.validate_python(loop["task"]),
            feedback=tuple(sorted(_DECLARED.validate_python(loop.get("feedback") or {}))),
        )

    def crosses(self, before: int, after: int) -> bool:
        """Whether a slice became final, or its revision, while a watermark went from `before` to `after`."""
        slacks = {self.grace, self.horizon, self.grace + self.revise, self.horizon + self.revise}
        return any((after - slack) // self.every > (before - slack) // self.every for slack in slacks)

    def slack(self, kind: Kind) -> int:
        """The grace, or the horizon of labels."""
        return self.grace if kind == "inputs" else self.horizon

    def final_at(self, end: int, kind: Kind, revision: int) -> int:
        """The watermark from which on nothing is added to a slice that ends at `end`, or to its revision."""
        return end + self.slack(kind) + (self.revise if revision else 0)

    def next_to_close(self, watermark: int, kind: Kind) -> int:
        """The end of the oldest slice that is still open at this watermark."""
        closed = watermark - self.slack(kind)
        return closed - closed % self.every + self.every


def milliseconds(duration: timedelta) -> int:
    """As a whole number; loop files know nothing shorter."""
    return round(duration.total_seconds() * 1000)
