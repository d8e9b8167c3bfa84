"""Every alert that the code or Prometheus can raise has a line in the runbook, which has no line for any other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import yaml

from everloop.diagnoses import FaultKind
from tests.docs.pages import ROOT, text_of

COMPUTED = {
    ("everloop_drift/handlers.py", "announce"): tuple(
        f"{kind}_{end}" for kind in ("drift", "quality", *get_args(FaultKind)) for end in ("opened", "closed")
    ),
    ("everloop_drift/handlers.py", "_of_segments"): tuple(
        f"segment_{kind}_{end}" for kind in ("drift", "quality") for end in ("opened", "closed")
    ),
}
"""Names that are put together: by file and function, from the kinds of an episode or fault and its ends."""
PASSED_ON = "_alert"
"""Functions of this name take the alert's name from their callers, which write it as a literal."""


def product() -> list[Path]:
    """The modules that may raise alerts."""
    return sorted(path for part in ("shared", "services") for path in (ROOT / part).rglob("*.py"))


def raised(path: Path) -> Iterator[str]:
    """Every alert name in a module; where one cannot be told, the place with a question mark."""
    place = "/".join(path.parts[-2:])
    named_inside = any(one.name == PASSED_ON and list(inside(one)) for one in functions(path))
    for function in functions(path):
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            called = ast.unparse(call.func).rpartition(".")[2]
            if called == PASSED_ON and not named_inside:
                yield next((one for one in map(literal, call.args[:2]) if one), f"{place}:{call.lineno}?")
            elif "AlertRaised" in ast.unparse(call.func):
                yield from built(call, place, function.name)


def inside(function: ast.FunctionDef) -> Iterator[str]:
    """The literal names of alerts that a function builds itself."""
    for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
        if "AlertRaised" in ast.unparse(call.func):
            yield from filter(None, (literal(one.value) for one in call.keywords if one.arg == "name"))


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    """The functions and methods of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def built(call: ast.Call, place: str, function: str) -> Iterator[str]:
    """The names that one construction of an alert can have."""
    given = next((one.value for one in call.keywords if one.arg == "name"), None)
    name = literal(given) if given else None
    if name:
        yield name
    elif (place, function) in COMPUTED:
        yield from COMPUTED[place, function]
    elif function != PASSED_ON:
        yield f"{place}:{call.lineno}?"


def literal(node: ast.expr | None) -> str | None:
    """A text that is written out."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@cache
def all_raised() -> frozenset[str]:
    """Every alert name in the product. Each test asks, and reading all modules takes seconds."""
    return frozenset(name for path in product() for name in raised(path))


def lines(section: int) -> dict[str, tuple[str, str, str]]:
    """Severity, meaning and what to do by the name of the alert, in the n-th section of the runbook."""
    page = text_of("docs/runbook.md").split("\n## ")[section]
    found = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert len({name for name, *_ in found}) == len(found)
    return {name: (severity, means, do) for name, severity, means, do in found}


def test_every_alert_has_a_line_in_the_runbook_and_every_line_an_alert() -> None:
    assert set(lines(0)) == all_raised()


def test_every_rule_of_prometheus_has_a_line_with_its_severity_and_every_line_a_rule() -> None:
    groups = yaml.safe_load(text_of("compose/prometheus/rules.yml"))["groups"]
    rules = {rule["alert"]: rule["labels"]["severity"] for group in groups for rule in group["rules"]}
    assert {name: severity for name, (severity, _, _) in lines(1).items()} == rules


def test_the_search_finds_names_in_each_way_that_they_are_written(tmp_path: Path) -> None:
    module = tmp_path / "handlers.py"
    module.write_text(
        "def a(event):\n    return _alert(event, 'one', 'info')\n"
        "def b(self):\n    self._alert('two', event, 'text')\n"
        "def c():\n    return AlertRaised(id=1, name='three')\n"
        "def d(name):\n    return AlertRaised(id=1, name=name)\n"
    )
    assert [name.rpartition("/")[2] for name in raised(module)] == ["one", "two", "three", "handlers.py:8?"]
