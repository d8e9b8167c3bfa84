"""The id of a snapshot: another question or other files are another one, other places are not."""

from __future__ import annotations

import pytest

from everloop.events import FileRef, Snapshot
from everloop.snapshots import identified

A, B, C = (FileRef(uri=f"memory://{name}", sha256=name * 64) for name in "abc")
SNAPSHOT = Snapshot(start=1, end=9, strategy="rolling", predictions=(A, B), outcomes=(C,))


def test_where_files_lie_and_in_which_order_is_no_part_of_it() -> None:
    elsewhere = tuple(FileRef(uri="file:///elsewhere", sha256=one.sha256) for one in (B, A))
    other = SNAPSHOT.model_copy(update={"predictions": elsewhere, "id": "before", "content": "known"})
    assert identified("m", other).id == identified("m", SNAPSHOT).id


@pytest.mark.parametrize(
    "other",
    [
        {"start": 2},
        {"end": 8},
        {"strategy": "full"},
        {"half_life_ms": 1},
        {"rows": 1},
        {"as_of": 1},
        {"predictions": (A,)},
        {"outcomes": (B,)},
        {"predictions": (A,), "outcomes": (B, C)},
    ],
)
def test_each_part_of_the_question_is_part_of_it(other: dict[str, object]) -> None:
    assert identified("m", SNAPSHOT.model_copy(update=other)).id != identified("m", SNAPSHOT).id
    assert identified("other", SNAPSHOT).id != identified("m", SNAPSHOT).id


def test_it_stays_what_it_was() -> None:
    assert identified("m", SNAPSHOT).id == "982b1c81f4eef55b8dbdc2e784b34c391a8fe0fef86841307108e9f765a9baac"
