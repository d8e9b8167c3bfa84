"""What `everloop drift` shows of labels: how many of each segment's rows have one, and how good the model was there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from everloop.events import QualityMeasure, SegmentJudged, WindowJudged

SEGMENTS: Final = ("segment", "value", "labelled", "coverage", "quality", "95 %", "reference", "judged", "episode")
PRIMARY: Final = ("roc_auc", "rmse")


def labels_line(window: WindowJudged) -> str:
    """The window, its coverage, and how long labels usually take."""
    from everloop.cli.windows import lasting
    from everloop.story import moment

    flow, delays = window.labels, ""
    if flow and flow.p50 is not None and flow.p95 is not None:
        delays = f"; labels take {lasting(flow.p50)} (half of them), {lasting(flow.p95)} (95 %)"
    needed = f", judged from {flow.needed:.1%} on" if flow and flow.needed is not None else ""
    covered = "unknown" if window.coverage is None else f"{window.coverage:.1%}"
    return f"labels of {moment(window.start)} to {moment(window.end)}: coverage {covered}{needed}{delays}"


def segment_lines(window: WindowJudged) -> list[list[str]]:
    """All rows and then each segment, in the order of SEGMENTS."""
    whole = next((window.quality[name] for name in PRIMARY if name in window.quality), None)
    labelled = f"{window.rows}"
    covered = "–" if window.coverage is None else f"{window.coverage:.1%}"
    first = ["(all rows)", "", labelled, covered, *_quality(whole), window.verdict, window.episode]
    return [first, *(_line(one) for one in window.segments)]


def segments_value(window: WindowJudged) -> dict[str, object]:
    """The same as data; times as `everloop windows --json` has them, delays in ms."""
    from everloop.story import moment

    flow = window.labels
    delays = {name: getattr(flow, name) if flow else None for name in ("needed", "p50", "p95")}
    segments = [
        one.model_dump(mode="json", exclude={"share", "since"})
        | {"coverage": coverage(one), "since": None if one.since is None else moment(one.since)}
        for one in window.segments
    ]
    return {
        "start": moment(window.start), "end": moment(window.end), "version": window.version, "verdict": window.verdict,
        "coverage": window.coverage, **delays, "segments": segments,
    }  # fmt: skip


def coverage(one: SegmentJudged) -> float | None:
    """Labelled rows of the predicted ones; None where those are not known."""
    return one.rows / one.predicted if one.predicted else None


def _line(one: SegmentJudged) -> list[str]:
    from everloop.cli.drift import plain

    covered = coverage(one)
    value = "(others)" if one.value is None else plain(one.value)
    share = "–" if covered is None else f"{covered:.1%}"
    return [plain(one.column), value, str(one.rows), share, *_quality(one.quality), one.verdict, one.episode]


def _quality(found: QualityMeasure | None) -> tuple[str, str, str]:
    from everloop.story import number

    if found is None:
        return "–", "–", "–"
    return number(found.value), f"{number(found.lower)} to {number(found.upper)}", number(found.reference)
