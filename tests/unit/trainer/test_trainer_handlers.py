"""The trainer's tables are those of the registry of topics, and its child sees nothing that it need not."""

from __future__ import annotations

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

from everloop import events as e
from everloop import topics
from everloop_trainer import handlers
from everloop_trainer.adapters import effects
from everloop_trainer.domain import initial
from everloop_trainer.settings import TrainerSettings
from tests.builders import NOON, a_fresh_id


def test_what_it_hears_and_says_is_what_the_registry_says() -> None:
    read = {topic.name for topic in topics.TOPICS.values() if "trainer" in topic.consumers}
    ours = {topic.name for topic in (*handlers.HEARS, *handlers.FACTS, handlers.JOURNAL, topics.LOOPS, topics.CLOCK)}
    assert ours == read
    assert handlers.JOURNAL.producers == ("trainer",)
    assert set(handlers.PROJECTIONS) <= set(handlers.JOURNAL.events)


def test_each_job_is_a_module() -> None:
    assert all(find_spec(module) for module in handlers.JOBS.values())


@pytest.mark.parametrize(
    ("event", "name", "summary"),
    [
        (
            e.TrainingFailed(
                id=a_fresh_id(), time=NOON, model="fraud", attempt=2, error="no rows",
                reason=e.Reason(rule="job_failed"),
            ),
            "training_failed",
            "fraud: training failed: no rows",
        ),
        (
            e.TrainingSkipped(
                id=a_fresh_id(), time=NOON, model="fraud",
                reason=e.Reason(rule="train.fresh_labels", measured=9, limit=1000),
            ),
            "training_skipped",
            "fraud: training was skipped: 9 fresh labels, 1000 needed (train.fresh_labels)",
        ),
    ],
)  # fmt: skip
def test_what_a_person_should_know_is_one_sentence(event: e.Event, name: str, summary: str) -> None:
    (alert,) = handlers.announce(initial(), event)
    (again,) = handlers.announce(initial(), event)
    assert (alert.name, alert.summary, alert.causation_id) == (name, summary, event.id)
    assert alert == again


def test_a_version_is_shown_in_mlflow(tmp_path: Path) -> None:
    shown = effects(TrainerSettings(var=tmp_path))
    assert list(shown) == [e.ModelVersionCreated]
    assert handlers.decider(shown).effects == shown


def test_the_rest_of_a_turn_is_not_announced() -> None:
    opened = e.TurnOpened(
        id=a_fresh_id(), time=NOON, model="fraud", cause="drift", wait_until=NOON + timedelta(hours=1),
        reason=e.Reason(rule="drift"),
    )  # fmt: skip
    assert handlers.announce(initial(), opened) == ()
