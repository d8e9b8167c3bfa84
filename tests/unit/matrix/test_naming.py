"""Which builder a setting names."""

from __future__ import annotations

import pytest

from everloop.errors import UsageError
from everloop.matrix import LocalBuilder, builder_of
from everloop.settings import ServiceSettings
from tests.unit.matrix.archive import PandasBuilder


def test_without_a_name_it_is_this_machine() -> None:
    assert builder_of(ServiceSettings().matrix) == LocalBuilder()


def test_a_class_is_made_by_its_name() -> None:
    named = ServiceSettings.from_environment({"EVERLOOP_MATRIX": "tests.unit.matrix.archive:PandasBuilder"})
    assert isinstance(builder_of(named.matrix), PandasBuilder)


@pytest.mark.parametrize("path", ["nosuch.package:Builder", "everloop.matrix:Nosuch", "everloop.matrix.ports:FEATURE"])
def test_what_is_no_builder_is_named_with_the_fix(path: str) -> None:
    with pytest.raises(UsageError, match=f"EVERLOOP_MATRIX names {path}, which"):
        builder_of(path)


@pytest.mark.parametrize("text", ["builder", "a:b:c", "../x:Y", "os:system('rm')", "a b:C"])
def test_what_is_no_path_of_a_class_is_refused_by_the_settings(text: str) -> None:
    with pytest.raises(UsageError, match="EVERLOOP_MATRIX"):
        ServiceSettings.from_environment({"EVERLOOP_MATRIX": text})


def test_jobs_are_told_of_it() -> None:
    assert ServiceSettings(matrix="a.b:C").for_jobs({})["EVERLOOP_MATRIX"] == "a.b:C"
    assert "EVERLOOP_MATRIX" not in ServiceSettings().for_jobs({})
