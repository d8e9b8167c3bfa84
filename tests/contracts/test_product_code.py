"""What product code may not do: run foreign code, or use Faust in ways that lose rows. Each rule is shown to bite."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contracts.code_rules import faust_misuse, imports, unsafe

ROOT = Path(__file__).parents[2]
PRODUCT = sorted(path for part in ("shared", "services") for path in (ROOT / part).rglob("*.py"))
Rule = Callable[[ast.AST], Iterator[str]]


def broken(rule: Rule, text: str) -> list[str]:
    return list(rule(ast.parse(text)))


def broken_in_product(rule: Rule) -> dict[str, list[str]]:
    found = {str(path.relative_to(ROOT)): broken(rule, path.read_text(encoding="utf-8")) for path in PRODUCT}
    return {path: problems for path, problems in found.items() if problems}


def test_product_code_runs_no_foreign_code() -> None:
    assert len(PRODUCT) > 100
    assert broken_in_product(unsafe) == {}


def test_faust_is_used_in_the_one_way_that_loses_nothing() -> None:
    assert broken_in_product(faust_misuse) == {}


def test_faust_has_one_importer() -> None:
    found = [path.name for path in PRODUCT if "faust" in set(imports(ast.parse(path.read_text(encoding="utf-8"))))]
    assert all(name.startswith("faust_") for name in found)
    assert found


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "import yaml\nyaml.load(text)",
        "import yaml\nyaml.unsafe_load(text)",
        "eval(text)",
        "exec(text)",
        "import os\nos.system(text)",
        "import subprocess\nsubprocess.run(text, shell=True)",
        "import numpy as np\nnp.load(path)",
        "import mlflow\nmlflow.pyfunc.load_model(uri)",
    ],
)
def test_the_rule_against_foreign_code_bites(text: str) -> None:
    assert broken(unsafe, text)


@pytest.mark.parametrize("text", ["yaml.safe_load(text)", "re.compile(text)", "np.load(path, allow_pickle=False)"])
def test_the_rule_against_foreign_code_lets_the_safe_twin_pass(text: str) -> None:
    assert broken(unsafe, text) == []


GOOD = """
import faust
app.agent(channel, concurrency=1, name=topic)(self._agent)

async def _agent(self, stream):
    stream.enable_acks = False
    async for event in stream.events():
        self.fold.take(event)
"""


def test_the_rule_for_faust_lets_our_pattern_pass() -> None:
    assert broken(faust_misuse, GOOD) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("    stream.enable_acks = False\n", ""),
        ("stream.events()", "stream"),
        ("stream.events()", "stream.take(100, within=1)"),
        ("stream.events()", "stream.noack().events()"),
        ("stream.events()", "stream.group_by(key).events()"),
        ("concurrency=1", "concurrency=4"),
        ("concurrency=1, ", ""),
        ("name=topic", "sink=[out]"),
        ("self.fold.take(event)", "yield event"),
        ("import faust", "import faust\nmode = 'exactly_once'"),
        ("import faust", "import faust\ntable = app.Table('n').tumbling(10)"),
    ],
)
def test_the_rule_for_faust_bites(right: str, wrong: str) -> None:
    assert right in GOOD
    assert broken(faust_misuse, GOOD.replace(right, wrong))
