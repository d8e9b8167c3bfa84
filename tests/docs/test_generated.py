"""The generated pages say what the code says, and leave nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from everloop.docs import pages, read_golden
from everloop.docs.__main__ import main
from everloop.docs.events import describe, parts
from everloop.docs.glossary import GLOSSARY
from everloop.docs.settings import classes
from everloop.docs.text import pretty, table, yaml_text
from everloop.docs.topics import topology
from everloop.events import ENVELOPE, TYPES, Event
from everloop.loop.places import read_document
from everloop.metrics import METRICS
from everloop.settings import variable
from everloop.topics import ALL, TOPICS
from tests.docs.pages import ROOT, text_of

PAGES = (
    "docs/asyncapi.yaml",
    "docs/events.md",
    "docs/metrics.md",
    "docs/openapi.yaml",
    "docs/settings.md",
    "docs/topics.md",
)
VARIABLE = re.compile(r"\bEVERLOOP_[A-Z][A-Z_]*[A-Z]\b")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert text_of(name) == pages(read_golden(ROOT))[name], "run: make docs"


def test_no_page_is_generated_and_not_checked() -> None:
    assert set(pages(read_golden(ROOT))) == set(PAGES)


def test_the_command_writes_every_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    main(tmp_path)
    assert {f"docs/{path.name}" for path in (tmp_path / "docs").iterdir()} == set(PAGES)
    assert all(name in capsys.readouterr().out for name in ("docs/events.md",))


@pytest.mark.parametrize("name", TYPES)
def test_every_event_has_a_section_with_every_field_and_an_example(name: str) -> None:
    section = text_of("docs/events.md").split(f"\n### {name}\n")[1].split("\n### ")[0]
    assert "```json" in section
    for field in set(TYPES[name].model_fields) - ENVELOPE:
        assert f"| `{field}` |" in section


def test_every_field_has_a_meaning() -> None:
    kinds = [*TYPES.values(), *parts()]
    fields = [(kind, name) for kind in kinds for name in kind.model_fields]
    own = [(kind, name) for kind, name in fields if not (issubclass(kind, Event) and name in ENVELOPE)]
    assert [f"{kind.__name__}.{name}" for kind, name in own if not describe(kind, name)] == []


def test_the_glossary_has_no_word_that_nobody_uses() -> None:
    kinds = [*TYPES.values(), *parts()]
    known = {name for kind in kinds for name in kind.model_fields}
    known |= {f"{kind.__name__}.{name}" for kind in kinds for name in kind.model_fields}
    assert set(GLOSSARY) - known == set()


@pytest.mark.parametrize("name", TOPICS)
def test_every_topic_has_a_section(name: str) -> None:
    assert f"\n### {name}\n" in text_of("docs/topics.md")


def test_the_topology_has_every_arrow_but_those_it_says_it_leaves_out() -> None:
    arrows = [line.strip() for line in topology().splitlines() if "-->" in line]
    shown = [topic for topic in TOPICS.values() if topic.name.split(".")[1] not in {"alerts", "dlq", "loops", "clock"}]
    written = [f"{who} --> {topic.name.split('.')[1]}_t" for topic in shown for who in topic.producers]
    read = [f"{topic.name.split('.')[1]}_t --> {who}" for topic in shown for who in topic.consumers]
    assert sorted(arrows) == sorted(written + read)
    assert "drift --> windows_t" in arrows
    assert "windows_t --> rollout" in arrows


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_listed(name: str) -> None:
    assert f"| `{name}` |" in text_of("docs/metrics.md")


def test_every_variable_that_the_code_names_is_a_setting_on_the_page() -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8") for part in ("shared", "services") for path in (ROOT / part).rglob("*.py")
    )
    fields = {variable(field) for service in ALL for kind in classes(service) for field in kind.model_fields}
    page = text_of("docs/settings.md")
    assert {name for name in set(VARIABLE.findall(code)) | fields if f"`{name}`" not in page} == set()


def test_json_is_on_one_line_where_it_fits() -> None:
    assert pretty({"a": [1, 2]}) == '{"a":[1,2]}'
    wide = pretty({"a": ["x" * 60, "y" * 60]})
    assert wide.splitlines()[:3] == ["{", '  "a": [', f'    "{"x" * 60}",']


def test_yaml_is_read_alike_by_its_versions() -> None:
    value = {
        "on": "no",
        "sequence": "000000000009",
        "version": "1.0",
        "lines": "a\nb",
        "again": [text := {"a": "1e5"}, text],
    }
    assert read_document(yaml_text(value)).value == yaml.safe_load(yaml_text(value)) == value


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert table(("one",), [("a | b",)]).splitlines()[-1] == "| a \\| b |"
