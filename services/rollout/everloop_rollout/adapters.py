"""MLflow's alias `champion`: it displays a decision, it is never the lock (DESIGN rule 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from everloop.events import Event, VersionPromoted, VersionRolledBack
from everloop.registry import VERSION_TAG, Mlflow, RefusedError, connect
from everloop.runtime.room import Effect
from everloop_rollout.settings import RolloutSettings

ALIAS: Final = "champion"
EVENT_TAG: Final = "everloop.champion.event"


class Alias:
    """An effect of a promotion or rollback. Every call is an upsert, so a repeat changes nothing."""

    def __init__(self, mlflow: Mlflow) -> None:
        self._mlflow: Final = mlflow

    def __call__(self, event: Event) -> None:
        """Point the alias at the version with our tag, and note which decision it shows. Raises as `Mlflow` does."""
        if isinstance(event, VersionPromoted | VersionRolledBack):
            number = self._number(event.model, event.verdict.version)
            self._mlflow.post("registered-models/alias", {"name": event.model, "alias": ALIAS, "version": number})
            tag = {"name": event.model, "key": EVENT_TAG, "value": str(event.id)}
            self._mlflow.post("registered-models/set-tag", tag)

    def _number(self, model: str, version: str) -> str:
        """MLflow's own number; the trainer may show a version later than we decide on it."""
        rule = f"name = '{model}' AND tags.`{VERSION_TAG}` = '{version}'"
        found = self._mlflow.get("model-versions/search", filter=rule, max_results="1").get("model_versions")
        if not found:
            raise RefusedError("it does not have that version yet", "GET model-versions/search")
        return str(found[0]["version"])


def effects(settings: RolloutSettings) -> Mapping[type[Event], Effect]:
    """What follows outside from our own events: who is champion is shown in MLflow."""
    alias = Alias(connect(settings.mlflow))
    return {VersionPromoted: alias, VersionRolledBack: alias}
