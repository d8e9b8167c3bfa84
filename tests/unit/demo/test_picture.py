"""The picture: one file that loads nothing, with every window, version and mark in it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from everloop.demo.picture import page
from everloop.demo.series import Mark, series
from everloop.demo.summary import summarise
from tests.unit.demo.histories import FLIPPED, TABLE, a_history

HISTORY = a_history()
DRAWN = series(HISTORY, TABLE)
SUMMARY = summarise(HISTORY, TABLE, FLIPPED, seconds=1, balanced=True)


class Balanced(HTMLParser):
    """Every tag that opens closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    text = page(DRAWN, SUMMARY, [])
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert not re.search(r"https?:|src=|href=|@import|url\(|<script", text)


def test_every_window_has_its_traffic_and_every_mark_its_line() -> None:
    text = page(DRAWN, SUMMARY, [])
    assert text.count("<rect") == TABLE.windows
    assert text.count("stroke-dasharray") == 2 * len(DRAWN.marks)
    assert "version 3 refused: floor.roc_auc" in text
    assert "drift detected: drift.share 0.5, limit 0.3" in text


def test_what_was_not_met_is_said() -> None:
    assert "quality_after: too bad" in page(DRAWN, SUMMARY, ["quality_after: too bad"])


def test_texts_of_events_are_shown_and_never_run() -> None:
    marks = (Mark(1.0, "refused", "<script>alert(1)</script>"),)
    assert "<script" not in page(replace(DRAWN, marks=marks), SUMMARY, [])


def test_points_have_quality_where_labels_are_and_traffic_everywhere() -> None:
    assert [point.window for point in DRAWN.points] == list(range(TABLE.windows))
    assert DRAWN.points[-1].quality is None
    assert DRAWN.points[0].quality is not None
    assert DRAWN.points[20].traffic == {"2": 1.0}


def test_an_empty_history_is_an_empty_picture() -> None:
    nothing = replace(HISTORY, predictions=(), labels=(), journals=())
    summary = summarise(nothing, TABLE, FLIPPED, seconds=1, balanced=False)
    assert "<svg" in page(series(nothing, TABLE), summary, [])
