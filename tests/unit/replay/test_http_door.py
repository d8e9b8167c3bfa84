"""How replay and bootstrap hear of rows that the front door has refused while it took the others."""

from __future__ import annotations

import httpx
import pytest

from everloop.errors import UsageError
from everloop.replay.door import HttpDoor
from everloop.replay.rows import Labels

LABELS = Labels(("a", "b"), (0.0, 7.0), (1, 2))


def a_door(answer: dict[str, object]) -> HttpDoor:
    door = HttpDoor("http://serving", "http://ingest")
    door.client.close()
    door.client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(202, json=answer)))
    return door


def test_a_row_that_is_refused_ends_it_with_the_words_of_the_door() -> None:
    wrong = {"status": 422, "errors": [{"where": "label.1", "rule": "no_class", "fix": "labels are 0 and 1"}]}
    items = [{"status": 202, "prediction_id": "a"}, wrong]
    with pytest.raises(UsageError, match=r"http://ingest/v1/labels answers 202: label.1: no_class labels are 0 and 1"):
        a_door({"id": "x", "accepted": 1, "refused": 1, "items": items}).label("fraud", LABELS)


def test_where_no_row_is_refused_it_goes_on() -> None:
    items = [{"status": 202, "prediction_id": name} for name in ("a", "b")]
    a_door({"id": "x", "accepted": 2, "refused": 0, "items": items}).label("fraud", LABELS)
