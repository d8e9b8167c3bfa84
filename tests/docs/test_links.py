"""Links resolve, commands and targets exist, and none is left out of the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from everloop.cli import build
from tests.docs.pages import LINK, ROOT, anchors, blocks, documents, markdown, prose, text_of

TARGETS = re.findall(r"^([a-z][a-z0-9-]*):.*## ", text_of("Makefile"), re.MULTILINE)
COMMANDS = sorted(typer.main.get_group(build()).commands)


@pytest.mark.parametrize("path", markdown(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve(path: Path) -> None:
    text = prose(path.read_text(encoding="utf-8"))
    links = [link for link in LINK.findall(text) if not link.startswith(("http://", "https://", "mailto:"))]
    broken = [link for link in links if not resolves(path, link)]
    assert broken == []


def resolves(path: Path, link: str) -> bool:
    """Whether a link of this page leads to a file of the repository, and to a heading in it."""
    name, _, anchor = link.partition("#")
    target = (path.parent / name).resolve() if name else path
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or anchor in anchors(target.read_text(encoding="utf-8"))


def test_a_broken_link_is_found() -> None:
    page = ROOT / "README.md"
    assert resolves(page, "docs/topics.md#all-topics")
    assert not resolves(page, "docs/nowhere.md")
    assert not resolves(page, "docs/topics.md#nowhere")


@pytest.mark.parametrize("target", TARGETS)
def test_every_make_target_is_documented(target: str) -> None:
    assert re.search(rf"\bmake {target}\b", documents())


def test_every_make_target_that_is_documented_exists() -> None:
    named = set(re.findall(r"`make ([a-z][a-z0-9-]*)", documents()))
    named |= first_words("make")
    assert named - set(TARGETS) == set()


def first_words(program: str) -> set[str]:
    """What stands behind the name of a program at the begin of a line in blocks of shell."""
    shell = "\n".join(blocks(documents(), "sh"))
    return set(re.findall(rf"^{program} ([a-z][a-z0-9-]*)", shell, re.MULTILINE))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert re.search(rf"\beverloop {command}\b", documents())


def test_every_command_that_is_documented_exists() -> None:
    named = set(re.findall(r"`everloop ([a-z]+)", documents()))
    named |= first_words("everloop")
    assert named - set(COMMANDS) == set()


def test_a_decision_has_its_four_parts_and_is_listed() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    assert len(records) >= 5
    assert len({path.name[:4] for path in records}) == len(records)
    for path in records:
        number = int(path.name[:4])
        text = path.read_text(encoding="utf-8")
        parts = ["Context", "Decision", "Consequences", "A change violates this when"]
        assert text.startswith(f"# {number}. ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == parts
        assert f"({path.name})" in text_of("docs/adr/README.md")
