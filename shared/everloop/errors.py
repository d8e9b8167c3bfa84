"""The whole error tree. An adapter's error ends the process before the commit; an `Invalid` input is dead-lettered."""


class EverloopError(Exception):
    """Anything that Everloop raises on purpose."""


class InvalidError(EverloopError):
    """An input that can never be handled: it goes to the dead-letter topic, or back to the person, with its reason."""

    def __init__(self, reason: str, message: str) -> None:
        """`reason`: a short code of a closed list (`malformed`, `shape`, ...); `message` names thing, rule and fix."""
        super().__init__(message)
        self.reason = reason


class FatalError(EverloopError):
    """The process cannot go on (lost broker, corrupt state); the supervisor starts it again."""


class StoreError(FatalError):
    """A store takes or gives nothing now. Nothing was written; who can wait tries again later."""


class FullError(StoreError):
    """A store has no space left."""


class AwayError(EverloopError):
    """Something that only displays what we decide does not answer now: it is told later, and nothing waits for it."""


class UsageError(EverloopError):
    """A person asked for something that cannot be done; the message is one line and names the fix."""
