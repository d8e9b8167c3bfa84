"""Markdown, JSON and YAML as text, the same for the same input."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import orjson
import yaml

WIDTH: Final = 110
NOTICE: Final = "<!-- Generated from the code by `make docs`. Do not edit. -->"
NUMBER: Final = re.compile(r"[-+]?([0-9]+\.?|[0-9]*\.[0-9]+)([eE][-+]?[0-9]+)?|0[xo][0-9a-fA-F]+")
"""What a reader of YAML 1.2 may take for a number."""


def page(title: str, *parts: str) -> str:
    """A whole page: its title, a notice, and the parts with an empty line between."""
    return "\n\n".join([f"# {title}", NOTICE, *parts]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def fenced(kind: str, text: str) -> str:
    """A block of code."""
    return f"```{kind}\n{text}\n```"


def one_line(docstring: str | None) -> str:
    """A docstring as one paragraph per paragraph, without its indentation."""
    paragraphs = (docstring or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).strip()


def pretty(value: object, depth: int = 0) -> str:
    """JSON on one line where it fits into 110 characters, else one member per line."""
    flat = orjson.dumps(value).decode()
    if len(flat) + 2 * depth <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    if isinstance(value, list):
        return _block("[]", [pretty(item, depth + 1) for item in value], depth)
    return _block(
        "{}", [f"{orjson.dumps(key).decode()}: {pretty(item, depth + 1)}" for key, item in value.items()], depth
    )


def _block(brackets: str, members: Sequence[str], depth: int) -> str:
    inner = ",\n".join("  " * (depth + 1) + member for member in members)
    return f"{brackets[0]}\n{inner}\n{'  ' * depth}{brackets[1]}"


def yaml_text(value: object) -> str:
    """JSON values as YAML that readers of its versions 1.1 and 1.2 take alike; small ones on one line."""
    return yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=WIDTH)


class _Plain(yaml.SafeDumper):
    """Without anchors, which are YAML's own references: what is used twice stands there twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 -- as PyYAML's
        return True


def _text(dumper: _Plain, text: str) -> yaml.Node:
    """Quoted where it may be a number: PyYAML knows those of YAML 1.1, by which 000000000009 is a text."""
    style = "|" if "\n" in text else "'" if NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Plain.add_representer(str, _text)
