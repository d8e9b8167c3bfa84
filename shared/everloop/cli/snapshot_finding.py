"""Which snapshot a person means: one of the past by its id, or what a model would learn from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from everloop import topics
from everloop.cli.reading import applied_loops, archive_of, read_all
from everloop.errors import UsageError
from everloop.events import LoopApplied, ModelVersionCreated, Snapshot, TrainingStarted
from everloop.loop import Loop
from everloop.matrix.asking import Question
from everloop.runtime.log import Log
from everloop.snapshots import plan
from everloop.story import moment


@dataclass(frozen=True, slots=True)
class Found:
    """A snapshot of a model, the versions that were trained on it, and the question where it is none of the past."""

    model: str
    snapshot: Snapshot
    versions: tuple[str, ...] = ()
    question: Question | None = None


def find(log: Log, name: str, as_of: str | None) -> Found:
    """The snapshot of an id or of its beginning, or what a model would learn from. Raises `UsageError`."""
    loops = applied_loops(log)
    if name in loops:
        return _planned(log, loops[name], None if as_of is None else _millis(as_of))
    if as_of is not None:
        raise UsageError("--as-of is asked of a model; a snapshot of the past has its own moment")
    found = _past(log, name)
    if len(found) > 1:
        raise UsageError(f"{len(found)} snapshots begin with {name!r}: write more of the id")
    if not found:
        models = f"; models are {', '.join(sorted(loops))}" if loops else ""
        raise UsageError(f"{name!r} is neither a snapshot of the log nor a model; ids are in `everloop why`{models}")
    return found[0]


def _planned(log: Log, applied: LoopApplied, as_of: int | None) -> Found:
    facts = archive_of(log, applied.model)
    loop = Loop.from_payload(applied.loop)
    return Found(applied.model, plan(loop, facts, as_of=as_of), question=Question(loop, facts, as_of))


def _past(log: Log, name: str) -> list[Found]:
    """All whose id begins so; what was said last of one, which knows its content, counts."""
    found: dict[str, Found] = {}
    for event in (heard.event for heard in read_all(log, (topics.TRAINING.name,))):
        match event:
            case TrainingStarted():
                snapshot, version = event.spec.snapshot, event.spec.version
            case ModelVersionCreated():
                snapshot, version = event.snapshot, event.version
            case _:
                continue
        if snapshot.id is not None and snapshot.id.startswith(name):
            known = found[snapshot.id].versions if snapshot.id in found else ()
            found[snapshot.id] = Found(event.model, snapshot, tuple(dict.fromkeys((*known, version))))
    return list(found.values())


def lines(found: Found) -> list[str]:
    """What is told of a snapshot."""
    one = found.snapshot
    told = {
        "id": one.id, "model": found.model, "versions": ", ".join(found.versions) or "none yet",
        "rows": f"{moment(one.start)} to {moment(one.end)}, {one.strategy}",
        "newest": one.rows, "as of": None if one.as_of is None else moment(one.as_of),
        "where": "; ".join(f"{name} in {', '.join(map(str, values))}" for name, values in one.where.items()) or None,
        "tail": one.tail and f"{one.tail.rows} rows from before {moment(one.tail.before)}, by {one.tail.by or '–'}",
        "golden": one.golden and f"{one.golden.share} of the entities are kept out",
        "files": f"{len(one.predictions)} of predictions, {len(one.outcomes)} of outcomes", "content": one.content,
    }  # fmt: skip
    return [f"{name:<9} {value}" for name, value in told.items() if value is not None]


def _millis(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.timestamp() < 0:
        raise UsageError("--as-of is no time with a zone; write it as 2026-01-05T12:00:00Z")
    return int(at.timestamp() * 1000)
