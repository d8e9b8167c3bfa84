"""What the tests of the documents share: the pages, and the Markdown in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def markdown() -> list[Path]:
    """Every Markdown file that is ours."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("shared/*.md"), *ROOT.glob("services/*/*.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(found)


def text_of(name: str) -> str:
    """The text of a page."""
    return (ROOT / name).read_text(encoding="utf-8")


def documents() -> str:
    """All of them as one text."""
    return "\n".join(path.read_text(encoding="utf-8") for path in markdown())


def blocks(text: str, kind: str) -> list[str]:
    """The blocks of code of one kind."""
    return [body for found, body in FENCE.findall(text) if found == kind]


def prose(text: str) -> str:
    """A text without its blocks of code."""
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as a renderer makes them."""
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in HEADING.findall(prose(text))}
