"""What a simulation has said of one model."""

from __future__ import annotations

from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode
from everloop.events import AlertRaised, WindowJudged
from everloop.runtime.journal import Validity
from everloop.runtime.log import Place
from everloop.simulation import Simulation


def judged_outcomes(simulation: Simulation, model: str) -> list[WindowJudged]:
    """The judged windows of outcomes, in order."""
    place, validity = Place(topics.DRIFT.name, partition(model, topics.PARTITIONS)), Validity()
    events = [validity.accept(record) for record in simulation.broker.records[place]]
    return [one for one in events if isinstance(one, WindowJudged) and one.kind == "outcomes"]


def alert_names(simulation: Simulation, model: str) -> list[str]:
    """The names of the alerts, each once."""
    place = Place(topics.ALERTS.name, partition(model, topics.PARTITIONS))
    events = [decode(record.value, record.headers) for record in simulation.broker.records[place]]
    return [*{one.id: one.name for one in events if isinstance(one, AlertRaised)}.values()]
