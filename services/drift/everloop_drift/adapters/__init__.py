"""The rooms of drift that fold, on the log: what they know, the form of their state, and the two rooms themselves."""

from everloop_drift.adapters.merge import MergeFold
from everloop_drift.adapters.probe import Probe
from everloop_drift.adapters.windows import WindowsFold

__all__ = ["MergeFold", "Probe", "WindowsFold"]
