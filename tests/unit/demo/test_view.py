"""What a viewer sees: one line per decision, traffic and quality by version."""

from __future__ import annotations

import io

from rich.console import Console

from everloop.demo.telling import tell
from everloop.demo.view import Scene, shown
from everloop.replay.rows import Labels
from everloop.replay.watching import Said
from tests.unit.demo.histories import a_pass, a_promotion, a_refusal, a_version, an_episode, journals


def a_scene(*, terminal: bool = False) -> Scene:
    return Scene(Console(file=io.StringIO(), force_terminal=terminal, width=120), windows=40)


def written(scene: Scene) -> str:
    file = scene.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_every_decision_of_a_turn_has_a_line() -> None:
    assert all(tell(event) for event in journals())


def test_lines_say_rule_value_and_limit() -> None:
    assert tell(an_episode(11)) == (
        "bold red", "drift     inputs  drifted: drift.share 0.5, limit 0.3  ← episode of drift opens"
    )  # fmt: skip
    assert tell(a_refusal("3")) == ("bold magenta", "gate      version 3 is refused: ✗ floor.roc_auc 0.5")
    passed = tell(a_pass("2"))
    assert passed is not None
    assert "✓ floor.roc_auc 0.5  ✓ latency 0.5" in passed[1]


def test_without_a_terminal_each_line_is_printed_once() -> None:
    scene = a_scene()
    with shown(scene):
        scene.begin(3)
        scene.hear(a_promotion(3))
    assert written(scene).split() == ["window", "3", "of", "40", "rollout", "version", "2", "is", "the", "champion"]


def test_on_a_terminal_the_scene_is_drawn_with_traffic_and_quality_of_both_arms() -> None:
    scene = a_scene(terminal=True)
    with shown(scene):
        scene.begin(3)
        scene.see(Said("fraud", "1", "champion", ("a", "b", "c"), (0.9, 0.1, 0.5)))
        scene.see(Said("fraud", "2", "candidate", ("d", "e"), (0.1, 0.9)))
        scene.see(Said("fraud", None, None, ("history",), (None,)))
        scene.learn(Labels(("a", "b", "d", "e"), (1.0, 0.0, 1.0, 0.0), (0, 0, 0, 0)))
        scene.hear(a_version("2", "usual"))
    text = written(scene)
    assert scene.quality == {"1": 1.0, "2": 0.0}
    assert scene.rows == {"1": 3, "2": 2}
    for part in ("window  3 of 40", "60%", "40%", "1.000", "0.000", "version 2 exists"):
        assert part in text
