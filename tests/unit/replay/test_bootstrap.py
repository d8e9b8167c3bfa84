"""How the making of a first champion goes, told by the journals."""

from __future__ import annotations

from uuid import UUID

from everloop import events as e
from everloop.replay.bootstrap import Bootstrap
from tests.unit.demo.histories import a_pass, a_promotion, a_reason, a_refusal, a_start, a_version, an_event

REQUEST = UUID(int=99)


def mine(event: e.Event) -> e.Event:
    return event.model_copy(update={"correlation_id": REQUEST})


def test_a_version_that_is_installed_ends_well() -> None:
    told = Bootstrap(REQUEST)
    for event in (a_start("1", "usual", 0), a_version("1", "usual"), a_pass("1"), a_promotion(0, "1", None)):
        told.hear(mine(event))
    assert (told.ended, told.failure) == (True, None)
    assert [stage.split()[0] for stage in told.seen] == ["training", "gate:", "installing", "installed:"]


def test_a_refusal_names_the_failing_check_with_value_and_limit() -> None:
    told = Bootstrap(REQUEST)
    told.hear(mine(a_version("1", "usual")))
    told.hear(a_refusal("1"))
    assert told.failure == "the gate refused it: floor.roc_auc measured 0.5, limit 0.3 (floor.roc_auc)"


def test_failed_and_skipped_training_end_badly() -> None:
    failed = an_event(e.TrainingFailed, 0, attempt=2, error="no such recipe", reason=a_reason("job_failed"))
    skipped = an_event(e.TrainingSkipped, 0, reason=a_reason("train.fresh_labels", 3, 10))
    told, other = Bootstrap(REQUEST), Bootstrap(REQUEST)
    told.hear(mine(failed))
    other.hear(mine(skipped))
    assert told.failure == "no such recipe"
    assert other.failure == "train.fresh_labels: 3.0 labelled rows, 10.0 are needed"


def test_another_turn_is_none_of_ours() -> None:
    told = Bootstrap(REQUEST)
    for event in (a_version("7", "usual"), a_refusal("7"), a_promotion(0, "7", None)):
        told.hear(event)
    assert (told.ended, told.seen) == (False, [])
