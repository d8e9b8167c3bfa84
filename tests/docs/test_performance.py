"""The page of figures: it lists every benchmark there is, has a figure of each, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.registry import BENCHMARKS, select
from benchmarks.store import Store
from everloop.errors import UsageError
from tests.docs.pages import text_of
from tests.unit.benchmarks.fakes import MACHINE, a_benchmark, a_figure

PAGE = text_of("docs/performance.md")
NAME = re.compile(r"^\| `([a-z0-9_.]+)` \|", re.MULTILINE)
KNOWN = [a_benchmark("bus.one"), a_benchmark("loop.one", peer_name=None)]
EMPTY = (
    "# P\n<!-- benchmarks: x -->\nold\n<!-- end of benchmarks -->\n<!-- figures: x -->\n<!-- end of figures -->\nend\n"
)


def test_the_list_is_what_the_registry_says() -> None:
    assert page.between(PAGE, page.LIST) == page.list_of(BENCHMARKS), "run: make bench ARGS=--page"


def test_there_is_a_figure_of_each_benchmark_and_of_nothing_else() -> None:
    assert NAME.findall(page.between(PAGE, page.FIGURES)) == [one.name for one in BENCHMARKS]


def test_the_page_says_when_and_on_what() -> None:
    figures = page.between(PAGE, page.FIGURES)
    assert figures.startswith("Machine: ")
    assert len(re.findall(r"\| \d{4}-\d{2}-\d{2}, \d+ % \|", figures)) == len(BENCHMARKS)


def test_names_are_unique_and_have_an_area() -> None:
    names = [one.name for one in BENCHMARKS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+\.[a-z0-9_]+", name) for name in names)
    assert select([]) == list(BENCHMARKS)


def write(root: Path, *, quick: bool = False) -> str:
    (root / "docs").mkdir()
    (root / page.PAGE).write_text(EMPTY)
    store = Store(root / "bench")
    store.describe(MACHINE)
    store.keep([a_figure("bus.one", quick=quick)], (), KNOWN)
    page.write(root, store, KNOWN[:1])
    return (root / page.PAGE).read_text()


def test_the_command_fills_the_page_between_its_marks(tmp_path: Path) -> None:
    text = write(tmp_path)
    assert text.startswith("# P\n")
    assert text.endswith("\nend\n")
    assert "old" not in text
    assert page.between(text, page.LIST) == page.list_of(KNOWN[:1])
    assert "| `bus.one` | rounds/CPU-s | 12 (9 to 30) | 4 (3 to 4) | 3 | wall 5 |" in page.between(text, page.FIGURES)
    assert "Machine: a processor, 2 cores, 4096 MiB" in text


def test_a_figure_of_a_quick_run_is_none_and_the_list_is_written_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r'run make bench ARGS="bus\.one" first'):
        write(tmp_path, quick=True)
    text = (tmp_path / page.PAGE).read_text()
    assert page.between(text, page.LIST) == page.list_of(KNOWN[:1])
    assert page.between(text, page.FIGURES) == ""


def test_a_page_without_marks_is_not_filled() -> None:
    with pytest.raises(UsageError, match="has no place for its figures"):
        page.filled("# P\n", page.FIGURES, "x")
