"""The README's loop file is valid, its snippets are those of the examples, and its lists are true."""

from __future__ import annotations

import shlex

import orjson
import pytest

from everloop.local.stack import INFRASTRUCTURE_PORTS, SERVICES
from everloop.loopfile import read_loop
from everloop_ingest.adapters.bodies import read_labels, read_predictions
from everloop_ingest.domain.reading import Stamp
from everloop_serving.adapters.bodies import BODY
from tests.builders import NOON
from tests.docs.pages import ROOT, blocks, text_of

README = text_of("README.md")
EXAMPLES = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").glob("*.py")))
STAMP = Stamp("test", NOON)


def test_the_shortest_loop_file_is_valid_and_is_the_one_in_loops() -> None:
    (shown,) = blocks(README, "yaml")
    kept = (ROOT / "loops" / "minimal.yaml").read_text(encoding="utf-8")
    assert read_loop(shown, "README.md") == read_loop(kept, "minimal.yaml")


def test_what_python_the_readme_shows_is_in_a_tested_example() -> None:
    shown = blocks(README, "python")
    assert shown
    assert all(block in EXAMPLES for block in shown)


def test_no_command_is_shown_twice() -> None:
    lines = [line.partition("#")[0].strip() for block in blocks(README, "sh") for line in block.splitlines()]
    shown = [line for line in lines if line.startswith("everloop ")]
    assert shown
    assert len(shown) == len(set(shown))


def curls() -> dict[str, dict[str, object]]:
    """The body of each request in the README, by its address."""
    found = {}
    for block in blocks(README, "sh"):
        for line in block.replace("\\\n", "").splitlines():
            if line.startswith("curl "):
                words = shlex.split(line)
                (url,) = [word for word in words if word.startswith("http://")]
                found[url] = orjson.loads(words[words.index("-d") + 1])
    return found


def test_the_requests_of_the_readme_are_accepted() -> None:
    scored, told, labelled = curls().values()
    BODY.validate_python(scored)
    assert read_predictions(told, STAMP).wrong == {}
    assert read_labels(labelled, STAMP).event.prediction_id == ("tx-1001",)


@pytest.mark.parametrize("name", ["ingest", "serving"])
def test_the_ports_of_the_readme_and_the_examples_are_those_of_the_stack(name: str) -> None:
    (service,) = [one for one in SERVICES if one.name == name]
    assert f"http://127.0.0.1:{service.port}/" in README
    assert f"http://127.0.0.1:{service.port}" in EXAMPLES
    assert f"127.0.0.1:{INFRASTRUCTURE_PORTS['broker']}" in EXAMPLES


@pytest.mark.parametrize("page", ["README.md", "docs/tour.md"])
def test_the_tour_visits_the_six_files_in_order(page: str) -> None:
    files = ["shared/everloop/events.py"]
    files += [
        f"services/{name}/everloop_{name}/handlers.py"
        for name in ("ingest", "drift", "trainer", "gatekeeper", "rollout")
    ]
    places = [text_of(page).find(name) for name in files]
    assert min(places) > 0
    assert places == sorted(places)
