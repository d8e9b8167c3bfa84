"""Everything that the gatekeeper decides, and the measures that it decides on. Pure.

`deciding` says what follows from one input, `state` is what the journal folds to, `figures` is what the measuring job
hands in, `checks` holds figures against the rules, `noninferiority` is the comparison with the champion.
"""

from everloop_gatekeeper.domain.deciding import decide, job
from everloop_gatekeeper.domain.figures import Figures, MetricFigures
from everloop_gatekeeper.domain.state import Candidate, State, evolve, initial

__all__ = ["Candidate", "Figures", "MetricFigures", "State", "decide", "evolve", "initial", "job"]
