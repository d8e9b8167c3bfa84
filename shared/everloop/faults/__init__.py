"""Labelled faults to try a drift judge with: what can go wrong with rows, and how the world may change. Pure, seeded.

Each is a function from rows to rows. `FAULTS` has them all with the diagnosis that is right; `spoiled` applies one.

>>> import numpy as np
>>> from everloop.faults import FAULTS, Batch, Moment, spoiled
>>> healthy = Batch({"amount": np.arange(8.0)}, labels=np.zeros(8))
>>> cents = spoiled(FAULTS["scaled_up"], healthy, Moment(seed=1))
>>> cents.columns["amount"].tolist()[:3]
[0.0, 1000.0, 2000.0]
"""

from everloop.faults.batch import Batch, Moment
from everloop.faults.library import FAULTS, Labelled, spoiled

__all__ = ["FAULTS", "Batch", "Labelled", "Moment", "spoiled"]
