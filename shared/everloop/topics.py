"""The registry: one literal per topic. Topics are created from it, documents generated, every service is held to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from everloop import events as e

PARTITIONS = 4
"""All topics keyed by model have this many partitions, for ever: they are assigned together (rule 5)."""

Cleanup = Literal["forever", "compact", "time"]
Placing = Literal["model", "prediction id", "source", "any"]
DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: what travels on it, by which key, who writes and reads it, and how long it is kept.

    `key` says what a record's key holds, `placed_by` what its partition follows from. They differ where rows of one
    model are spread, or where one model has several keys. `source` is the partition of the record that was read.
    `retention_bytes` bounds a partition, whatever `retention_ms` says.
    """

    name: str
    meaning: str
    events: tuple[type[e.Event], ...]
    key: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    cleanup: Cleanup
    dead_letters: bool
    journal: bool = False
    placed_by: Placing = "model"
    partitions: int = PARTITIONS
    retention_ms: int = 7 * DAY_MS
    retention_bytes: int | None = None
    config: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Derive the broker's settings from what is wanted."""
        object.__setattr__(self, "config", _broker_config(self))


def _broker_config(topic: Topic) -> Mapping[str, str]:
    # The broker unpacks what producers compress: it holds `max.message.bytes` against what readers get, and no reader
    # needs their codecs (one that it lacks would end it, at the same record for ever).
    common = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": "8388608",
        "compression.type": "uncompressed",
    }
    match topic.cleanup:
        case "forever":
            return common | {"cleanup.policy": "delete", "retention.ms": "-1"}
        case "compact":
            return common | {"cleanup.policy": "compact", "min.compaction.lag.ms": "60000"}
        case "time":
            bound = {"retention.bytes": str(topic.retention_bytes)} if topic.retention_bytes else {}
            return common | {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)} | bound


ALL = ("ingest", "drift", "trainer", "gatekeeper", "rollout", "serving")

LOOPS = Topic(
    "everloop.loops.v1", "the rules of each model", (e.LoopApplied,), "model",
    producers=("cli",), consumers=ALL, cleanup="compact", dead_letters=False,
)  # fmt: skip
CLOCK = Topic(
    "everloop.clock.v1", "what time it is, by model or for all", (e.ClockMoved,), "model",
    producers=("ingest", "cli"), consumers=("ingest", "drift", "trainer", "gatekeeper", "rollout"),
    cleanup="compact", dead_letters=False,
)  # fmt: skip
COMMANDS = Topic(
    "everloop.commands.v1", "what a person asks for", (e.TrainingRequested,), "model",
    producers=("cli",), consumers=("trainer", "gatekeeper", "rollout"), cleanup="forever", dead_letters=True,
)  # fmt: skip
PREDICTIONS = Topic(
    "everloop.predictions.v1", "scored requests and heartbeats", (e.PredictionsLogged, e.HeartbeatSent), "any",
    producers=("ingest", "serving", "drift", "producers", "cli"), consumers=("ingest", "drift"), cleanup="time",
    dead_letters=True, placed_by="any",
)  # fmt: skip
LABELS = Topic(
    "everloop.labels.v1", "what really happened", (e.LabelsLogged, e.FeedbackLogged), "any",
    producers=("ingest", "producers", "cli"), consumers=("ingest",), cleanup="time", dead_letters=True,
    placed_by="any",
)  # fmt: skip
KEYS = Topic(
    "everloop.keys.v1", "internal: rows on their way to the join", (e.KeysRouted, e.FeedbackRouted, e.HeartbeatPassed),
    "model",
    producers=("ingest",), consumers=("ingest",), cleanup="time", dead_letters=False, placed_by="prediction id",
    retention_ms=30 * DAY_MS,
)  # fmt: skip
OUTCOMES = Topic(
    "everloop.outcomes.v1", "predictions with their labels and feedback",
    (e.OutcomesJoined, e.FeedbackJoined, e.HeartbeatPassed), "model",
    producers=("ingest", "drift"), consumers=("ingest", "drift"), cleanup="time", dead_letters=False,
    placed_by="prediction id",
)  # fmt: skip
ARCHIVE = Topic(
    "everloop.archive.v1", "files of the archive",
    (e.ManifestCommitted, e.FilesMerged, e.FilesExpired, e.FilesRemoved), "model",
    producers=("ingest",), consumers=("ingest", "drift", "trainer", "gatekeeper"), cleanup="forever",
    dead_letters=False,
)  # fmt: skip
PARTIALS = Topic(
    "everloop.partials.v1", "internal: state of windows by partition",
    (e.PartialSaved, e.IdsRemembered, e.BooksKept, e.HeartbeatPassed, e.WindowsKept),
    "kind, place or model, and replica", producers=("drift",), consumers=("drift",), cleanup="compact",
    dead_letters=False,
)  # fmt: skip
WINDOWS = Topic(
    "everloop.windows.v1", "closed windows", (e.WindowClosed,), "model",
    producers=("drift",), consumers=("drift", "rollout"), cleanup="forever", dead_letters=False,
)  # fmt: skip
DRIFT = Topic(
    "everloop.drift.v1", "journal of drift: each window judged", (e.WindowJudged,), "model",
    producers=("drift",), consumers=("drift", "trainer"), cleanup="forever", dead_letters=True, journal=True,
)  # fmt: skip
REPORTS = Topic(
    "everloop.reports.v1", "journal of the full reports of judged windows",
    (e.ReportRequested, e.ReportStarted, e.ReportWritten, e.ReportFailed),
    "model", producers=("drift",), consumers=("drift", "subscribers"), cleanup="forever", dead_letters=True,
    journal=True,
)  # fmt: skip
TRAINING = Topic(
    "everloop.training.v1", "journal of trainer",
    (e.TurnOpened, e.TurnDeferred, e.EpisodeNoted, e.TrainingStarted, e.ModelVersionCreated, e.TrainingFailed,
     e.TrainingSkipped, e.TurnClosed, e.VetoNoted),
    "model", producers=("trainer",), consumers=("drift", "trainer", "gatekeeper"),
    cleanup="forever", dead_letters=True, journal=True,
)  # fmt: skip
VERDICTS = Topic(
    "everloop.verdicts.v1", "journal of gatekeeper",
    (e.VersionReceived, e.ChecksStarted, e.VersionPassed, e.VersionRefused, e.VersionHeld),
    "model", producers=("gatekeeper",), consumers=("trainer", "gatekeeper", "rollout"),
    cleanup="forever", dead_letters=True, journal=True,
)  # fmt: skip
ROLLOUTS = Topic(
    "everloop.rollouts.v1", "journal of rollout",
    (e.RolloutStarted, e.WindowLooked, e.StepTaken, e.VersionPromoted, e.RolloutAborted, e.VersionRolledBack,
     e.VerdictStale),
    "model", producers=("rollout",), consumers=("ingest", "trainer", "gatekeeper", "rollout"),
    cleanup="forever", dead_letters=True, journal=True,
)  # fmt: skip
TRAFFIC = Topic(
    "everloop.traffic.v1", "plans that serving obeys, by model and epoch", (e.TrafficPlanned,), "model and epoch",
    producers=("rollout",), consumers=("serving",), cleanup="compact", dead_letters=False,
)  # fmt: skip
ALERTS = Topic(
    "everloop.alerts.v1", "sentences for people", (e.AlertRaised,), "model",
    producers=ALL, consumers=("subscribers",), cleanup="time", dead_letters=False, retention_ms=30 * DAY_MS,
)  # fmt: skip
DLQ = Topic(
    "everloop.dlq.v1", "records that could not be handled", (e.DeadLettered,), "model",
    producers=ALL, consumers=("cli",), cleanup="time", dead_letters=False, placed_by="any", retention_ms=30 * DAY_MS,
    retention_bytes=1024**3,
)  # fmt: skip
BOOKS = Topic(
    "everloop.books.v1", "internal: what became of each row, by room", (e.BooksKept,),
    "room, topic, partition and replica",
    producers=("ingest",), consumers=("ingest", "cli"), cleanup="compact", dead_letters=False, placed_by="source",
)  # fmt: skip

TOPICS: Mapping[str, Topic] = {
    topic.name: topic
    for topic in (
        LOOPS, CLOCK, COMMANDS, PREDICTIONS, LABELS, KEYS, OUTCOMES, ARCHIVE, PARTIALS, WINDOWS, DRIFT, REPORTS,
        TRAINING, VERDICTS, ROLLOUTS, TRAFFIC, ALERTS, DLQ, BOOKS,
    )
}  # fmt: skip
"""Every topic by its name, in the order of the flow."""
