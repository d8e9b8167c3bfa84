"""What broadcasts have told a data room: window rules of each model, and where the profile of each version stands.

A profile is read when the first row of its version needs it: a fleet has thousands of versions, and few are in use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from pydantic import ValidationError

from everloop import topics
from everloop.codec import decode
from everloop.errors import InvalidError
from everloop.events import Event, LoopApplied, ModelVersionCreated
from everloop.metrics import Metrics
from everloop.names import PROBE
from everloop.profile import Profile
from everloop.runtime.log import Log, Place, Record
from everloop.sketch.layout import Layout
from everloop_drift.domain.rules import WindowRules

Wall = Callable[[], datetime]

logger = structlog.get_logger()


@dataclass
class Known:
    """Rules by model, references by model and version. `log` is where profiles are read; `own` are in no log.

    `layouts` is for counting; whole profiles are kept only by who compares (`whole`), since they are large.
    """

    log: Log | None = None
    rules: dict[str, WindowRules] = field(default_factory=dict)
    kinds: Counter[WindowRules] = field(default_factory=Counter)
    where: dict[tuple[str, str], tuple[Place, int]] = field(default_factory=dict)
    layouts: dict[str, dict[str, Layout]] = field(default_factory=dict)
    profiles: dict[str, dict[str, Profile]] = field(default_factory=dict)
    own: dict[tuple[str, str], Profile] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    whole: bool = False
    refresh: Callable[[], object] = lambda: None

    def learn(self, record: Record, event: Event | None) -> None:
        """Fold one broadcast record; a tombstone takes a loop away. The probe's is part of the program."""
        if record.key == PROBE.encode():
            return
        match event:
            case LoopApplied():
                self._forget(event.model)
                self._apply(event)
            case ModelVersionCreated():
                self.where.setdefault((event.model, event.version), (record.place, record.offset))
            case None if record.place.topic == topics.LOOPS.name and record.key:
                model = record.key.decode(errors="replace")
                self._forget(model)
                self.removed.add(model)
            case _:
                pass

    def adopt(self, model: str, version: str, rules: WindowRules, profile: Profile) -> None:
        """Know a model that no broadcast tells of."""
        self.rules[model] = rules
        self.kinds[rules] += 1
        self.own[model, version] = profile

    def find(self, model: str, version: str) -> str | None:
        """What is missing for rows of this model and version; None when all is known.

        A profile is always in the log before its first row: one more look at the end of `training` must find it.
        """
        if model in self.rules and version in self.layouts.get(model, ()):
            return None
        if model not in self.rules or not self._is_there(model, version):
            self.refresh()
        if model not in self.rules:
            return "unknown_model"
        return None if self.layout(model, version) is not None else "version_unknown"

    def layout(self, model: str, version: str) -> Layout | None:
        """The layout of a version; None where no record of it can be read."""
        found = self.layouts.setdefault(model, {})
        if version not in found and self._is_there(model, version):
            profile = self.own.get((model, version)) or self._read(*self.where[model, version])
            if profile is not None:
                found[version] = Layout.of(profile)
                if self.whole:
                    self.profiles.setdefault(model, {})[version] = profile
        return found.get(version)

    def keep(self, used: Iterable[tuple[str, str]]) -> None:
        """Let go of the references that are not in use."""
        named = set(used)
        for held in (self.layouts, self.profiles):
            for model, versions in held.items():
                for version in [one for one in versions if (model, one) not in named]:
                    del versions[version]

    def _is_there(self, model: str, version: str) -> bool:
        return (model, version) in self.own or (model, version) in self.where

    def _apply(self, event: LoopApplied) -> None:
        try:
            rules = WindowRules.of_payload(event.loop)
        except ValidationError:
            logger.exception("loop_unreadable", model=event.model)
            return
        self.removed.discard(event.model)
        self.rules[event.model] = rules
        self.kinds[rules] += 1

    def _forget(self, model: str) -> None:
        rules = self.rules.pop(model, None)
        if rules is not None:
            self.kinds[rules] -= 1
            self.kinds += Counter()  # leave out what no model has any more

    def _read(self, place: Place, offset: int) -> Profile | None:
        if self.log is None:
            return None
        found = self.log.record_at(place, offset)
        try:
            event = None if found is None else decode(found.value, found.headers)
        except InvalidError:
            return None
        return event.profile if isinstance(event, ModelVersionCreated) else None


class Knowing:
    """What the folds of drift have in common: they hear of rules and versions, and say when they wrote what."""

    def __init__(self, known: Known, wall: Wall, metrics: Metrics | None, replica: str) -> None:
        """`wall` is used for `recordedtime` alone; `replica` names what this one writes."""
        self.known = known
        self.wall = wall
        self.metrics = metrics or Metrics()
        self.replica = replica

    @property
    def refresh(self) -> Callable[[], object]:
        """How the broadcasts are heard to their present end."""
        return self.known.refresh

    @refresh.setter
    def refresh(self, hear: Callable[[], object]) -> None:
        self.known.refresh = hear

    def learn(self, record: Record, event: Event | None) -> None:
        """Note rules, and where profiles stand."""
        self.known.learn(record, event)
        self.metrics.know(self.known.rules)
