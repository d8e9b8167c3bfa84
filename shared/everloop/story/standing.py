"""What a model waits for: since when, how far it has come, and when that can end at the earliest. Pure.

From the rules and the newest events alone; all times are the model's own. A bound is what the rules allow, no forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from everloop import events as e
from everloop.loop import Loop
from everloop.sketch import ArmSums

LOOKED_AT = ("shadow", "candidate")


@dataclass(frozen=True, slots=True)
class Awaited:
    """`earliest` is when the present phase can end, `promotion` when the version can be promoted; None: not bounded.

    `latest` is the deadline, after which the version (or the turn) goes. `have` of `need`: rows or labels so far.
    """

    since: datetime | None = None
    earliest: datetime | None = None
    promotion: datetime | None = None
    latest: datetime | None = None
    have: int | None = None
    need: int | None = None
    of: str = ""


def waiting(opened: e.TurnOpened, loop: Loop, labels: int) -> Awaited:
    """A turn waits for labelled rows since its change; it may start with the next tick after they are there."""
    need = loop.train.fresh_labels
    unpaid = opened.cause in {"command", "bootstrap"}
    return Awaited(
        opened.time, latest=opened.wait_until, have=None if unpaid else labels, need=None if unpaid else need,
        of="labelled rows",
    )  # fmt: skip


def deferred(event: e.TurnDeferred) -> Awaited:
    """A cool-down ends by itself; every other reason waits for something that has no date."""
    reason = event.reason
    if reason.rule != "train.cooldown" or not _numbers(reason):
        have, need = (reason.measured, reason.limit) if _numbers(reason) else (None, None)
        return Awaited(event.time, have=_whole(have), need=_whole(need), of=reason.rule)
    left = float(reason.limit or 0) - float(reason.measured or 0)
    return Awaited(event.time, earliest=event.time + timedelta(seconds=left))


def held(event: e.VersionHeld) -> Awaited:
    """A held version is measured again when the archive has grown, and refused at the deadline."""
    few = next((one.reason for one in event.checks if one.verdict == "too_few" and _numbers(one.reason)), None)
    have, need = (few.measured, few.limit) if few else (None, None)
    return Awaited(event.time, latest=event.until, have=_whole(have), need=_whole(need), of=few.rule if few else "")


def rolling(begun: e.RolloutStarted, step: e.StepTaken | None, looks: Sequence[e.WindowLooked], loop: Loop) -> Awaited:
    """A phase holds its time and needs its rows; each further step holds as long again.

    A rollout without a shadow takes its first step at the next tick.
    """
    since = step.time if step else begun.time
    hold = loop.rollout.hold if step else loop.rollout.shadow
    weight = step.weight if step else 0.0
    further = max(0, sum(one > weight for one in loop.rollout.steps) - 1)
    earliest = since + hold
    present = [one for one in looks if one.kind == "inputs" and one.start >= _millis(since)]
    return Awaited(
        since, earliest, promotion=earliest + further * loop.rollout.hold, latest=since + (begun.deadline - begun.time),
        have=seen_rows(present[-1].evidence, shadow=step is None) if present else 0, need=loop.rollout.min_rows,
        of="rows",
    )  # fmt: skip


def watched(promoted: e.VersionPromoted, loop: Loop) -> Awaited | None:
    """After a promotion over another champion; None for the first version, or without a watch."""
    if promoted.previous is None or not loop.rollout.watch:
        return None
    ends = promoted.time + loop.rollout.watch
    return Awaited(promoted.time, earliest=ends, latest=ends)


def next_window(last_end: int | None, loop: Loop, now: datetime) -> Awaited:
    """The next window closes when its end and the grace have passed; without one the first that ends after now."""
    every = loop.windows.every
    zero = datetime.fromtimestamp(0, UTC)
    end = (
        zero + timedelta(milliseconds=last_end) + every if last_end is not None else now + every - (now - zero) % every
    )
    since = zero + timedelta(milliseconds=last_end) if last_end is not None else None
    return Awaited(since, earliest=end + loop.windows.grace)


def seen_rows(evidence: Mapping[str, object], *, shadow: bool) -> int:
    """Rows of the candidate (in shadow: copies that it scored) in the evidence of a look."""
    arms = evidence.get("arms")
    sums = arms.get(LOOKED_AT[0] if shadow else LOOKED_AT[1]) if isinstance(arms, Mapping) else None
    return int(ArmSums.from_plain(sums).rows.sum()) if isinstance(sums, Mapping) else 0


def in_words(phase: str, one: Awaited) -> str:
    """`the shadow ends at the earliest at 2026-01-05 12:10:00; 640 of 1000 rows; deadline 2026-01-05 16:00:00`."""
    parts = []
    if one.earliest:
        parts.append(f"{phase} ends at the earliest at {one.earliest:%F %T}")
    if one.have is not None and one.need is not None:
        parts.append(f"{one.have} of {one.need} {one.of}")
    if one.promotion and one.promotion != one.earliest:
        parts.append(f"promotion at the earliest at {one.promotion:%F %T}")
    if one.latest and one.latest != one.earliest:
        parts.append(f"deadline {one.latest:%F %T}")
    return "; ".join(parts)


def quantile(values: Sequence[float], share: float) -> float | None:
    """The nearest rank: the smallest value that at least this share of all is not above. None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)] if ordered else None


def _numbers(reason: e.Reason) -> bool:
    return isinstance(reason.measured, int | float) and isinstance(reason.limit, int | float)


def _whole(value: float | str | None) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
