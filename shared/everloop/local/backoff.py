"""How long to wait before a process is started again. Pure."""

FIRST_SECONDS = 0.5
LAST_SECONDS = 10.0
HEALTHY_SECONDS = 30.0


def backoff(failures: int) -> float:
    """Seconds to wait after that many failures in a row (from 1): 0.5, doubling, at most 10."""
    return min(LAST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 10))


def failures_in_a_row(before: int, up_seconds: float) -> int:
    """Count one more failure; a process that was up for 30 s starts counting afresh."""
    return 1 if up_seconds >= HEALTHY_SECONDS else before + 1
