"""What the measuring job is asked: the version, the champion of now, and rows that the version has not seen. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from everloop.events import ChampionRef, CheckSpec, SignedVerdict, Snapshot
from everloop.facts import Facts
from everloop.loop import Loop
from everloop_gatekeeper.domain.checks import metrics_needed
from everloop_gatekeeper.domain.state import Candidate

LATENCY_ROWS: Final = 100
TIMEOUT_S: Final = 300.0
"""Wall seconds of one attempt; a measurement takes a few."""
MILLISECOND: Final = timedelta(milliseconds=1)


def specify(one: Candidate, loop: Loop, facts: Facts) -> CheckSpec:
    """Say all that the job needs."""
    created = one.created
    return CheckSpec(
        version=created.version,
        artifact=created.artifact,
        features=created.features,
        task=created.task,
        champion=_reference(facts.champion) if facts.champion else None,
        holdout=_grown(created.holdout, loop, facts) if one.held or one.again else created.holdout,
        latency_rows=LATENCY_ROWS,
        timeout_s=TIMEOUT_S,
        metrics=metrics_needed(loop),
    )


def _reference(champion: SignedVerdict) -> ChampionRef:
    return ChampionRef(
        version=champion.version, artifact=champion.artifact, features=champion.features, task=champion.task
    )


def _grown(holdout: Snapshot, loop: Loop, facts: Facts) -> Snapshot:
    """The same begin, up to the newest slice of the archive: nothing that the version was trained on comes in.

    Files of the rows before it are read, too: an id that was there must not come again.
    """
    slice_ms = loop.windows.every // MILLISECOND
    end = max(holdout.end, (facts.newest("outcomes") or 0) + slice_ms)
    since = holdout.start if holdout.known_since is None else holdout.known_since
    touched = max(0, since - slice_ms + 1)  # a slice that begins before the start may reach into the range
    return holdout.model_copy(
        update={
            "end": end,
            "predictions": facts.files("predictions", touched, end),
            "outcomes": facts.files("outcomes", touched, end),
        }
    )
