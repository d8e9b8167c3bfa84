"""What was served and what really happened: rows with their scores joined to labels, and AUC by ranks. Pure.

Shares no code with ingest's join or drift's sketches on purpose: the summary must not believe what it checks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from everloop.events import LabelsLogged
from everloop.rows import Rows, listed


@dataclass(frozen=True, slots=True)
class Row:
    """One served row: when, by which version, its score, and its label when there is one."""

    time: int
    version: str
    score: float
    label: float | None


def join(predictions: Iterable[Rows], labels: Iterable[LabelsLogged]) -> list[Row]:
    """Rows that serving scored, each id once (the first in the log), with the label of the last `labelled_at`."""
    truth = _truth(labels)
    rows: dict[str, Row] = {}
    for record in predictions:
        if record.source != "serving" or record.score is None:
            continue
        for name, time, score in zip(record.prediction_id, record.times, listed(record.score), strict=True):
            if score is not None:
                rows.setdefault(name, Row(time, str(record.version), score, truth.get(name)))
    return list(rows.values())


def _truth(labels: Iterable[LabelsLogged]) -> Mapping[str, float]:
    newest: dict[str, tuple[int, float]] = {}
    for event in labels:
        for name, label, at in zip(event.prediction_id, event.label, event.labelled_at, strict=True):
            if name not in newest or newest[name][0] <= at:
                newest[name] = (at, label)
    return {name: label for name, (_, label) in newest.items()}


def between(rows: Iterable[Row], start: int, end: int) -> list[Row]:
    """Rows with a time in `[start, end)` (ms)."""
    return [row for row in rows if start <= row.time < end]


def quality(rows: Iterable[Row]) -> float | None:
    """AUC on the rows that have a label; None where there is none, or of one class only."""
    labelled = [(row.score, row.label) for row in rows if row.label is not None]
    return auc([score for score, _ in labelled], [label for _, label in labelled])


def auc(scores: Sequence[float], labels: Sequence[float]) -> float | None:
    """Area under the ROC curve, exact, ties counted as one half (Mann-Whitney U over the mean ranks).

    `labels` are 0 or 1. None where one class is missing.
    """
    ranks = _mean_ranks(scores)
    positives = sum(1 for label in labels if label > 0)
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    total = sum(rank for rank, label in zip(ranks, labels, strict=True) if label > 0)
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def _mean_ranks(scores: Sequence[float]) -> list[float]:
    """Ranks from 1; equal scores share the mean of theirs."""
    order = sorted(range(len(scores)), key=lambda index: scores[index])
    ranks = [0.0] * len(scores)
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and scores[order[last + 1]] == scores[order[first]]:
            last += 1
        for place in range(first, last + 1):
            ranks[order[place]] = (first + last) / 2 + 1
        first = last + 1
    return ranks


def shares(rows: Iterable[Row]) -> dict[str, float]:
    """Share of the rows by version."""
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row.version] += 1
    total = sum(counts.values())
    return {version: count / total for version, count in sorted(counts.items())}
