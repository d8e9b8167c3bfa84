"""The join as one would tell it, row by row over dictionaries: what the real one is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from everloop.events import KeysRouted
from everloop_ingest.domain.batches import Label, latest
from everloop_ingest.domain.joining import HORIZON_MS, MINUTE_MS
from everloop_ingest.domain.shelves import LUMP

Row = tuple[str, str | None, float | None, float, int, float | None]
"""Id, version and score of the prediction, label, when it was known, and the label before it."""
Key = tuple[str, str]


@dataclass
class NaiveJoin:
    """What it remembers, in order of arrival, with the minute of each."""

    most: int
    open: dict[Key, tuple[str | None, float | None, Label | None, int]] = field(default_factory=dict)
    whose: dict[Key, tuple[str | None, int]] = field(default_factory=dict)
    ranges: list[tuple[str, str, int, int, Label, int]] = field(default_factory=list)
    parked: dict[Key, tuple[Label, int]] = field(default_factory=dict)
    minute: int = 0
    forgotten: int = 0
    duplicate: int = 0

    def take(self, event: KeysRouted, appended_ms: int) -> list[Row]:
        """Fold one record."""
        self.minute = max(self.minute, appended_ms // MINUTE_MS)
        self._forget_old()
        if event.kind == "label" and event.entity_id is not None:
            return [row for place in range(len(event.entity_id)) for row in self._range(event, place)]
        found = [self._one(event, row) for row in range(len(event.prediction_id))]
        self._trim()
        return [row for row in found if row is not None]

    def _range(self, event: KeysRouted, row: int) -> list[Row]:
        """A label by entity: as if each prediction of it that is known were named."""
        entity, start, end = (event.entity_id or ())[row], (event.start or ())[row], (event.end or ())[row]
        said, found = Label((event.label or ())[row], event.times[row]), []
        self.ranges.append((event.model, entity, start, end, said, self.minute))
        for key in [*self.open]:
            whose, time = self.whose[key]
            if key[0] == event.model and whose == entity and start <= time < end:
                version, score, known, since = self.open[key]
                holds, news = latest(known, said)
                self.open[key] = (version, score, holds, since)
                found += [(key[1], version, score, *holds, known and known.value)] if news else []
        return found

    def _known(self, key: Key) -> Label | None:
        """What is known of a prediction that comes now."""
        label = self.parked.pop(key, (None, 0))[0]
        entity, time = self.whose[key]
        for model, whose, start, end, said, _ in self.ranges:
            if (model, whose) == (key[0], entity) and start <= time < end:
                label, _ = latest(label, said)
        return label

    def _one(self, event: KeysRouted, row: int) -> Row | None:
        key = (event.model, event.prediction_id[row])
        if event.kind == "label":
            return self._label(key, Label((event.label or ())[row], event.times[row]))
        if key in self.open:
            self.duplicate += 1
            return None
        self.whose[key] = ((event.entity_id or {row: None})[row], event.times[row])
        label = self._known(key)
        self.open[key] = (event.version, event.score[row] if event.score else None, label, self.minute)
        return (key[1], *self.open[key][:2], *label, None) if label else None

    def _label(self, key: Key, said: Label) -> Row | None:
        version, score, known, since = self.open.get(key, (None, None, None, self.minute))
        if key not in self.open and key in self.parked:
            known, since = self.parked[key]
        holds, news = latest(known, said)
        self.duplicate += not news
        if key not in self.open:
            self.parked[key] = (holds, since)
            return None
        self.open[key] = (version, score, holds, since)
        return (key[1], version, score, *holds, known and known.value) if news else None

    def _forget_old(self) -> None:
        oldest = self.minute - HORIZON_MS // MINUTE_MS
        self._drop_open([key for key, one in self.open.items() if one[3] <= oldest])
        self._drop_parked([key for key, one in self.parked.items() if one[1] <= oldest])
        self.ranges = [one for one in self.ranges if one[5] > oldest]

    def _trim(self) -> None:
        left = self.most - self.most // LUMP
        if len(self.open) > self.most:
            self._drop_open(list(self.open)[: len(self.open) - left])
        if len(self.parked) > self.most:
            self._drop_parked(list(self.parked)[: len(self.parked) - left])

    def _drop_open(self, keys: Sequence[Key]) -> None:
        self.forgotten += sum(self.open.pop(key)[2] is None for key in keys)

    def _drop_parked(self, keys: Sequence[Key]) -> None:
        self.forgotten += len([self.parked.pop(key) for key in keys])
