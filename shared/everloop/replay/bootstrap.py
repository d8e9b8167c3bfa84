"""How the making of a first champion goes, told by the journals. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from everloop import events as e


@dataclass
class Bootstrap:
    """Follows the turn of one request. `stage` is what is waited for; `ended` says that it is over, `failure` how."""

    request: UUID
    stage: str = "waiting for the trainer"
    version: str | None = None
    ended: bool = False
    failure: str | None = None
    seen: list[str] = field(default_factory=list)

    def hear(self, event: e.Event) -> None:
        """Take note of one event of a journal."""
        match event:
            case e.VersionPromoted() if self._mine(event, event.version):
                self._end(f"installed: version {event.version}", None)
            case e.VersionRefused() if self._mine(event, event.version):
                self._end(
                    f"refused: version {event.version}",
                    f"the gate refused it: {', '.join(map(_reason, _failed(event)))}",
                )
            case e.TrainingFailed() if event.correlation_id == self.request:
                self._end("training failed", event.error)
            case e.TrainingSkipped() if event.correlation_id == self.request:
                why = event.reason
                self._end("training skipped", f"{why.rule}: {why.measured} labelled rows, {why.limit} are needed")
            case _:
                self._go_on(event)

    def _go_on(self, event: e.Event) -> None:
        match event:
            case e.TurnDeferred() if event.correlation_id == self.request:
                self._say(f"waiting: {event.reason.rule} {event.reason.measured}")
            case e.TrainingStarted() if event.correlation_id == self.request:
                self._say(f"training on {event.reason.samples} labelled rows")
            case e.ModelVersionCreated() if event.correlation_id == self.request:
                self.version = event.version
                self._say(f"gate: version {event.version}, trained on {event.train_rows} rows in {event.seconds:.1f} s")
            case e.VersionHeld() if self._mine(event, event.version):
                self._say(f"gate holds version {event.version}: too few rows to say")
            case e.VersionPassed() if self._mine(event, event.version):
                self._say(f"installing version {event.version}: it passed {len(event.checks)} checks")

    def _mine(self, event: e.Event, version: str) -> bool:
        return event.correlation_id == self.request or version == self.version

    def _say(self, stage: str) -> None:
        self.stage = stage
        self.seen.append(stage)

    def _end(self, stage: str, failure: str | None) -> None:
        self._say(stage)
        self.ended, self.failure = True, failure


def _failed(event: e.VersionRefused) -> list[e.Check]:
    return [check for check in event.checks if check.name in event.failed]


def _reason(check: e.Check) -> str:
    why = check.reason
    return f"{check.name} measured {why.measured}, limit {why.limit} ({why.rule})"
