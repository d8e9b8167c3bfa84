"""The files of `var/bench`: merged by name, in the order of the registry, without what failed."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from benchmarks.figures import ROW, Measured
from benchmarks.store import Store
from everloop.errors import UsageError
from tests.unit.benchmarks.fakes import MACHINE, a_benchmark, a_figure

KNOWN = [a_benchmark("bus.one"), a_benchmark("bus.two"), a_benchmark("loop.one")]


def rows(root: Path, area: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = orjson.loads((root / f"{area}.json").read_bytes())
    return found


def test_an_area_is_a_list_of_rows_and_nothing_else(tmp_path: Path) -> None:
    Store(tmp_path).keep([a_figure("bus.one")], (), KNOWN)
    (row,) = rows(tmp_path, "bus")
    assert tuple(row) == ROW
    assert row == {
        "name": "bus.one", "unit": "rounds/CPU-s", "ours": 12.0, "peer": 4.0, "peer_name": "a hare", "ratio": 3.0,
    }  # fmt: skip


def test_a_later_run_of_some_leaves_the_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep([a_figure("bus.two"), a_figure("loop.one")], (), KNOWN)
    store.keep([a_figure("bus.one")], (), KNOWN)
    store.keep([a_figure("bus.two", Measured(ours=(8.0,), peer=(4.0,)))], (), KNOWN)
    assert [(row["name"], row["ours"]) for row in rows(tmp_path, "bus")] == [("bus.one", 12.0), ("bus.two", 8.0)]
    assert [row["name"] for row in rows(tmp_path, "loop")] == ["loop.one"]


def test_what_failed_has_no_row_any_more(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep([a_figure("bus.one"), a_figure("bus.two")], (), KNOWN)
    store.keep([], ["bus.one"], KNOWN)
    assert [row["name"] for row in rows(tmp_path, "bus")] == ["bus.two"]


def test_a_benchmark_that_is_gone_leaves_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep([a_figure("bus.one"), a_figure("bus.two")], (), KNOWN)
    store.keep([a_figure("bus.one")], (), KNOWN[:1])
    assert [row["name"] for row in rows(tmp_path, "bus")] == ["bus.one"]


def test_details_are_read_back_as_they_were(tmp_path: Path) -> None:
    store, one = Store(tmp_path), a_figure("bus.one", quick=True)
    store.keep([one], (), KNOWN)
    assert store.read("bus") == (one,)
    assert store.read("loop") == ()


def test_a_file_of_another_form_is_named_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "details").mkdir()
    (tmp_path / "details" / "bus.json").write_text('[{"name": "bus.one"}]')
    with pytest.raises(UsageError, match=r"bus\.json is not what `make bench` writes: remove it"):
        Store(tmp_path).read("bus")


def test_the_machine_has_a_file_of_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path / "new")
    with pytest.raises(UsageError, match=r"run `make bench` first"):
        store.machine()
    store.describe(MACHINE)
    assert store.machine() == MACHINE
