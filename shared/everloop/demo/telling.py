"""Each decision of the loop in one line, as a person would say it. Pure."""

from __future__ import annotations

from everloop import events as e

QUIET = "dim"
LONGEST = 16
Line = tuple[str, str]
"""Style and text."""


def tell(event: e.Event) -> Line | None:
    """One line, or nothing for what a viewer need not know."""
    match event:
        case e.WindowJudged():
            return _window(event)
        case e.VersionPassed() | e.VersionRefused() | e.VersionHeld():
            return _verdict(event)
        case e.WindowLooked() | e.StepTaken() | e.RolloutStarted() | e.VersionPromoted() | e.RolloutAborted():
            return _rollout(event)
    return _training(event)


def _window(event: e.WindowJudged) -> Line:
    reason = event.reason
    what = "inputs " if event.kind == "inputs" else "quality"
    text = f"drift     {what} {event.verdict}: {reason.rule} {figure(reason.measured)}, limit {figure(reason.limit)}"
    text += f" ({event.diagnosis.kind.replace('_', ' ')})" if event.diagnosis else ""
    match event.episode:
        case e.Episode.OPENED:
            return "bold red", f"{text}  ← episode of {event.episode_kind} opens"
        case e.Episode.CLOSED:
            return "green", f"{text}  ← episode of {event.episode_kind} closes"
    return ("red" if event.verdict == "drifted" else QUIET), text


def _training(event: e.Event) -> Line | None:
    match event:
        case e.TrainingFailed():
            return "red", f"trainer   training failed: {event.error}"
        case e.TrainingSkipped():
            why = event.reason
            return "red", f"trainer   training skipped: {figure(why.measured)} of {figure(why.limit)} rows"
    return _turn(event)


def _turn(event: e.Event) -> Line | None:
    match event:
        case e.TurnOpened():
            return "yellow", f"trainer   a turn opens: {event.cause}; it waits for data"
        case e.TurnDeferred():
            return QUIET, f"trainer   not now: {event.reason.rule} {figure(event.reason.measured)}"
        case e.TrainingStarted():
            recipe = event.spec.recipe.rpartition(".")[2]
            return (
                "yellow",
                f"trainer   trains version {event.spec.version} with {recipe} ({event.fresh_labels} fresh labels)",
            )
        case e.ModelVersionCreated():
            return (
                "yellow",
                f"trainer   version {event.version} exists: {event.train_rows} rows in {event.seconds:.1f} s",
            )
    return None


def _verdict(event: e.VersionPassed | e.VersionRefused | e.VersionHeld) -> Line:
    checks = "  ".join(f"{_sign(check)} {check.name} {figure(check.reason.measured)}" for check in event.checks)
    match event:
        case e.VersionPassed():
            return "green", f"gate      version {event.version} passes: {checks}"
        case e.VersionRefused():
            return "bold magenta", f"gate      version {event.version} is refused: {checks}"
    return "yellow", f"gate      version {event.version} is held: {checks}"


def _sign(check: e.Check) -> str:
    return {"pass": "✓", "fail": "✗", "too_few": "…", "skipped": "-"}[check.verdict]


def _rollout(
    event: e.WindowLooked | e.StepTaken | e.RolloutStarted | e.VersionPromoted | e.RolloutAborted,
) -> Line:
    match event:
        case e.RolloutStarted():
            return "cyan", f"rollout   version {event.version} scores in shadow of {event.champion}"
        case e.WindowLooked():
            return QUIET, f"rollout   look at {event.phase} ({event.kind}): {event.verdict}"
        case e.StepTaken():
            return "cyan", f"rollout   version {event.version} takes {event.weight:.0%} of the traffic"
        case e.VersionPromoted():
            return "bold green", f"rollout   version {event.version} is the champion"
    return "bold red", f"rollout   version {event.version} is taken back: {event.reason.rule}"


def figure(value: float | str | None) -> str:
    """A number in three digits, a text cut where it is long (a digest)."""
    if isinstance(value, float | int):
        return f"{value:.3g}"
    return "–" if value is None else value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
