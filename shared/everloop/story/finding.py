"""Look up what a person names: a version, a traffic epoch, or an event by its id or the start of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

from everloop import events as e
from everloop.errors import EverloopError, UsageError
from everloop.story.links import version_of

MODEL: Final = r"(?P<model>[A-Za-z0-9._-]{1,128})"
VERSION: Final = re.compile(rf"{MODEL}/(?P<version>[^/\s]+)")
EPOCH: Final = re.compile(rf"{MODEL}[:@](?P<epoch>[0-9]+)")
SHORTEST: Final = 8
NEAR: Final = 4
ID: Final = re.compile(rf"[0-9a-fA-F-]{{{SHORTEST},36}}")
MOST_SHOWN: Final = 5
ABOUT_VERSIONS: Final = (
    e.TrainingStarted, e.ModelVersionCreated, e.VersionPassed, e.VersionRefused, e.VersionHeld, e.RolloutStarted,
    e.StepTaken, e.VersionPromoted, e.RolloutAborted, e.VersionRolledBack,
)  # fmt: skip
"""What decides about a version: the last of these is where it stands."""


class UnknownIdError(EverloopError):
    """Nothing has this name; the message says what comes near."""


def find(events: Sequence[e.Event], text: str, model: str | None = None) -> e.Event:
    """The event that `text` names: `fraud/2`, `fraud:17`, `2` with a model, or an id of at least eight hex digits.

    A version stands for the last decision about it, an epoch for its plan, else for the record that it came from.
    Raises `UnknownIdError` with near matches, `UsageError` when `text` is no name at all.
    """
    if found := VERSION.fullmatch(text):
        return _version(events, found["model"], found["version"])
    if found := EPOCH.fullmatch(text):
        return _epoch(events, found["model"], int(found["epoch"]))
    if model is not None and not _is_id(text):
        return _version(events, model, text)
    if _is_id(text):
        return _by_id(events, text)
    raise UsageError(
        f"{text!r} names nothing: write MODEL/VERSION, MODEL:EPOCH, VERSION with --model, or the first {SHORTEST} "
        "or more hex digits of an event's id"
    )


def _is_id(text: str) -> bool:
    return ID.fullmatch(text) is not None and len(text.replace("-", "")) >= SHORTEST


def _version(events: Sequence[e.Event], model: str, version: str) -> e.Event:
    mine = [one for one in events if isinstance(one, ABOUT_VERSIONS) and one.model == model]
    found = [one for one in mine if version_of(one) == version]
    if found:
        return found[-1]
    _require_model(events, model)
    raise UnknownIdError(_unknown(f"{model}/{version}", (f"{model}/{version_of(one)}" for one in mine)))


def _epoch(events: Sequence[e.Event], model: str, epoch: int) -> e.Event:
    """Plans of old epochs are compacted away; the record of `rollouts` with this sequence stays."""
    plans = [one for one in events if isinstance(one, e.TrafficPlanned) and one.model == model]
    found = [one for one in plans if one.epoch == epoch]
    rollouts = (e.RolloutStarted, e.StepTaken, e.VersionPromoted, e.RolloutAborted, e.VersionRolledBack)
    found_records = [one for one in events if isinstance(one, rollouts) and (one.model, one.sequence) == (model, epoch)]
    if either := [*found, *found_records]:
        return either[0]
    _require_model(events, model)
    raise UnknownIdError(_unknown(f"{model}:{epoch}", (f"{model}:{one.epoch}" for one in plans)))


def _by_id(events: Sequence[e.Event], text: str) -> e.Event:
    digits = text.replace("-", "").lower()
    found = {one.id: one for one in events if one.id.hex.startswith(digits)}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise UnknownIdError(f"{text} is the start of {len(found)} ids: {_some(str(one) for one in found)}")
    near = {str(one.id): None for one in events if one.id.hex.startswith(digits[:NEAR])}
    raise UnknownIdError(f"no event {text}; " + (f"near it: {_some(near)}" if near else "`everloop events` lists them"))


def _require_model(events: Iterable[e.Event], model: str) -> None:
    known = {one.model for one in events}
    if model not in known:
        raise UnknownIdError(_unknown(f"model {model}", known))


def _unknown(name: str, known: Iterable[str]) -> str:
    """Near matches first; where nothing is near, the last ones."""
    names = list(dict.fromkeys(known))
    near = get_close_matches(name.removeprefix("model "), names, n=MOST_SHOWN, cutoff=0.7) or names[-MOST_SHOWN:]
    return f"{name} is not in the log; " + (f"there is: {_some(near)}" if near else "there is nothing yet")


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:MOST_SHOWN]) + (", …" if len(shown) > MOST_SHOWN else "")
