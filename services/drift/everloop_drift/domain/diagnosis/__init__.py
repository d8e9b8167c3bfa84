"""What kind of change a window shows, with its evidence: broken data, a changed world, a season, or a loss of quality.

`columns` is what a rule sees of one column, `memory` what is remembered of earlier windows; `broken`, `units`, `stale`
and `skew` know faults of the data, `world` the rest. Pure; the rules are told apart by one thought: the world moves
many columns mildly, a pipe moves few of them absurdly, and all at once.
"""

from everloop_drift.domain.diagnosis.deciding import Seen, diagnose
from everloop_drift.domain.diagnosis.memory import Memory

__all__ = ["Memory", "Seen", "diagnose"]
