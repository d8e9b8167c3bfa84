"""The page on the architecture names what exists: processes, topics, alerts, metrics; its tables have no hole."""

from __future__ import annotations

import re

import pytest

from everloop.groups import ROOMS
from everloop.metrics import METRICS
from everloop.topics import ALL, TOPICS
from tests.docs.pages import documents, text_of
from tests.docs.test_runbook import all_raised

PAGE = text_of("docs/architecture.md")
SHORT = {name.split(".")[1] for name in TOPICS}
PACKAGES = {f"everloop_{name}" for name in ALL} | {"everloop_"}


def rows(section: str) -> list[list[str]]:
    """The rows of the first table below a heading, cell by cell, without its head."""
    below = PAGE.split(f"\n## {section}\n")[1] if section else PAGE
    found = re.search(r"^\|.*\|$(?:\n\|.*\|$)+", below.split("\n## ")[0], re.MULTILINE)
    assert found
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found.group().splitlines()[2:]]


def quoted(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def test_every_service_is_listed_with_its_processes() -> None:
    listed = {(*quoted(service), process) for service, processes, _ in rows("") for process in quoted(processes)}
    assert listed == {(room.name.partition(".")[0], room.process) for room in ROOMS}


def test_guarantees_are_between_things_that_exist() -> None:
    found = rows("Delivery guarantees")
    assert len(found) >= len(ALL)
    assert {name for source, target, *_ in found for name in quoted(source) + quoted(target)} <= SHORT
    assert all(guarantee and by for _, _, guarantee, by in found)


@pytest.mark.parametrize("row", rows("What fails, and what happens"), ids=lambda row: row[0])
def test_a_failure_says_what_happens_and_who_notices(row: list[str]) -> None:
    _, happens, notices = row
    assert happens
    assert notices
    if "alert" in notices:
        assert set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", notices)) <= all_raised()


def test_every_metric_that_a_page_names_exists() -> None:
    named = set(re.findall(r"`(everloop_[a-z_]*)", documents())) - PACKAGES
    assert named
    assert named <= set(METRICS)
