"""When a successor is trained, on which rows, at what cost. Pure.

`state` is what the journal folds to, `deciding` says what follows from one input, `causes` which cause may open a turn,
`data` on which rows a run learns and whether they are there.
"""

from everloop_trainer.domain.deciding import decide, job
from everloop_trainer.domain.state import State, Turn, Wanted, evolve, initial

__all__ = ["State", "Turn", "Wanted", "decide", "evolve", "initial", "job"]
