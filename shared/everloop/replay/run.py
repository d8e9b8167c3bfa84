"""One replay on a running stack, from the rules to what is written in `var/replay`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console

from everloop.artifacts import ArtifactStore, write_atomically
from everloop.demo.books import recount, unbalanced
from everloop.errors import FatalError
from everloop.replay.connecting import connected
from everloop.replay.course import Course
from everloop.replay.decisions import decisions, written
from everloop.replay.frozen import frozen_scores
from everloop.replay.lockstep import Client, LockStep
from everloop.replay.play import Play
from everloop.replay.served import Served, quality
from everloop.replay.summary import Summary, count_turns
from everloop.replay.view import progress

FOLDER: Final = "replay"
DECISIONS, SUMMARY = "decisions.jsonl", "summary.json"


@dataclass(frozen=True, slots=True)
class Target:
    """The stack: its broker, its services by name, the processes whose groups are waited for, its store and tokens."""

    broker: str
    urls: Mapping[str, str]
    processes: Iterable[str]
    store: ArtifactStore
    tokens: Path | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """What a person chose; `speed` None is the lock-step."""

    course: Course
    folder: Path
    console: Console
    speed: float | None = None

    def run(self, target: Target) -> tuple[Summary, bytes]:
        """Play it; the summary and the decisions, which are written to the folder as well."""
        loop = self.course.loop
        served = Served(loop.model, binary=loop.task == "binary")
        reached = (target.broker, target.urls, target.processes)
        with connected(*reached, served.hear, served.see, tokens=target.tokens) as client:
            wait_for_jobs(client, loop.train.timeout)
            self._play(client, served)
            summary = self._summary(client, served, target.store)
        said = written(decisions(served.events))
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / DECISIONS, said)
        write_atomically(self.folder / SUMMARY, orjson.dumps(summary.to_plain(), option=orjson.OPT_INDENT_2))
        return summary, said

    def _play(self, client: Client, served: Served) -> None:
        self.console.print(f"{served.model}: the first champion learns from {self.course.warmup} rows", highlight=False)
        play = Play(self.course, LockStep(served.model, client), served)
        play.first_champion()
        with progress(self.console, len(self.course.stream.ids), served) as play.show:
            if self.speed is None:
                play.in_lock_step()
            else:
                play.at_pace(self.speed)

    def _summary(self, client: Client, served: Served, store: ArtifactStore) -> Summary:
        stream, wrong = self.course.stream, unbalanced(recount(client.log))
        for one in wrong:
            place = f"{one.place.topic}[{one.place.partition}]"
            self.console.print(f"books of {place}: {one.booked}, recounted {one.recounted}", highlight=False)
        truth = dict(zip(stream.ids, stream.labels, strict=True))
        return Summary(
            model=served.model, rows=len(served.scores), auc=_shown(served.prequential(truth)),
            auc_frozen=_shown(self._frozen(served, store)) if served.binary else None, books_balanced=not wrong,
            **asdict(count_turns(served.events)),
        )  # fmt: skip

    def _frozen(self, served: Served, store: ArtifactStore) -> float | None:
        """The same rows in the words of the first champion: what a loop that never turns would have served."""
        first, stream = served.first_version(), self.course.stream
        if first is None:
            raise FatalError(f"{served.model}: its first champion is not on the log")
        said = frozen_scores(first.artifact, store, stream.features)
        scores = zip(stream.ids, said, stream.labels, strict=True)
        return quality((score, label) for name, score, label in scores if name in served.scores)


def wait_for_jobs(client: Client, timeout: timedelta) -> None:
    """Have patience with a run of training that takes as long as the loop file allows, and with its gate."""
    client.patience = client.quiescence.patience = replace(
        client.patience, limit_s=client.patience.limit_s + timeout.total_seconds()
    )


def _shown(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
