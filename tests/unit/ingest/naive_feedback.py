"""The join with feedback as one would tell it, row by row over dictionaries: what the real one is held against."""

from __future__ import annotations

from dataclasses import dataclass, field

from everloop.events import FeedbackRouted, KeysRouted
from everloop_ingest.domain.batches import Label, latest
from everloop_ingest.domain.feedback import TOLD_PER_PREDICTION
from everloop_ingest.domain.joining import HORIZON_MS, MINUTE_MS
from everloop_ingest.domain.shelves import LUMP
from tests.unit.ingest.naive_join import Key, NaiveJoin
from tests.unit.ingest.naive_join import Row as LabelRow

Brought = tuple[str, str, str | None, float, int, float | None]
"""Name, id and version of the prediction, value, when it was said, and the value before."""
Named = tuple[str, str, str]
Told = dict[Named, tuple[Label, int]]


@dataclass
class NaiveFeedback(NaiveJoin):
    """What it remembers beside predictions and labels, in order of arrival, with the minute of each."""

    told: Told = field(default_factory=dict)
    waiting: Told = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    since: int = 0

    def take_any(self, event: KeysRouted | FeedbackRouted, appended_ms: int) -> tuple[list[LabelRow], list[Brought]]:
        """Fold one record: outcome rows of labels, and of feedback."""
        self.minute = max(self.minute, appended_ms // MINUTE_MS)
        self._forget_old()
        self._forget_feedback()
        if isinstance(event, FeedbackRouted):
            rows, found = [], self._feedback(event)
        else:
            before = set(self.open)
            rows = self.take(event, appended_ms)
            named = [(event.model, name) for name in event.prediction_id] if event.kind == "prediction" else []
            opened = [key for key in dict.fromkeys(named) if key not in before]
            found = [
                row for name in self.names.get(event.model, []) for key in opened for row in self._met(key, name, event)
            ]
        self._trim_feedback()
        return rows, found

    def _met(self, key: Key, name: str, event: KeysRouted) -> list[Brought]:
        whole = (key[0], name, key[1])
        said = (self.waiting.pop(whole, None) or self.told.get(whole) or (None, 0))[0]
        if said is None:
            return []
        self.told[whole] = (said, self.told[whole][1] if whole in self.told else self.minute)
        return [(name, key[1], event.version, *said, None)]

    def _feedback(self, event: FeedbackRouted) -> list[Brought]:
        known = self.names.setdefault(event.model, [])
        known += [] if event.name in known else [event.name]
        found = []
        for prediction, value, at in zip(event.prediction_id, event.value, event.times, strict=True):
            held = self.open.get((event.model, prediction))
            is_open = held is not None and held[3] >= self.since
            table, whole = self.told if is_open else self.waiting, (event.model, event.name, prediction)
            before, since = table.get(whole, (None, self.minute))
            said, news = latest(before, Label(value, at))
            table[whole] = (said, since)
            self.duplicate += not news
            if news and held is not None and is_open:
                found.append((event.name, prediction, held[0], value, at, before.value if before else None))
        return found

    def _forget_feedback(self) -> None:
        oldest = self.minute - HORIZON_MS // MINUTE_MS
        self.told = {key: one for key, one in self.told.items() if one[1] > oldest}
        gone = [key for key, one in self.waiting.items() if one[1] <= oldest]
        self.forgotten += len([self.waiting.pop(key) for key in gone])

    def _trim_feedback(self) -> None:
        bound = self.most * TOLD_PER_PREDICTION
        if len(self.told) > bound:
            for key in list(self.told)[: len(self.told) - (bound - bound // LUMP)]:
                del self.told[key]
            self.since = max(self.since, next((minute for _, minute in self.told.values()), self.since - 1) + 1)
        if len(self.waiting) > self.most:
            gone = list(self.waiting)[: len(self.waiting) - (self.most - self.most // LUMP)]
            self.forgotten += len([self.waiting.pop(key) for key in gone])
