"""Which plan is obeyed: newest and proven; what is doubtful changes nothing, and is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop import events as e
from everloop import topics
from everloop.runtime.log import places_of
from everloop.signing import PrivateKey, generate, sign_verdict
from everloop_serving.handlers import StartingError
from tests.builders import NOON
from tests.unit.serving.builders import Broken, Stand, a_plan, a_verdict, an_arm, some_rows


@pytest.fixture
def gate(tmp_path: Path) -> PrivateKey:
    return generate(tmp_path / "gate.pem")


def test_the_largest_epoch_counts_whatever_comes_later() -> None:
    stand = Stand()
    stand.hear(a_plan(3), a_plan(7, champion="2"), a_plan(5, champion="3"))
    assert stand.epoch() == 7
    assert stand.shelf.fetched == ["2"]


def test_a_plan_serves_when_all_its_models_are_warm_and_only_then_is_it_committed() -> None:
    stand = Stand()
    stand.hear(a_plan(1))
    stand.shelf.loading = {"2"}
    stand.hear(a_plan(2, 0.5))
    assert (stand.epoch(), stand.lag()) == (1, 1)
    assert stand.server.awaits() is None  # the champion serves meanwhile
    assert stand.server.awaits(unserved_only=False) == "the models of fraud for epoch 2"
    stand.shelf.loading = set()
    assert stand.server.step()
    assert (stand.epoch(), stand.lag()) == (2, 0)
    assert not stand.server.step()


def test_it_is_not_ready_while_the_first_champion_is_loading() -> None:
    stand = Stand()
    stand.shelf.loading = {"1"}
    stand.hear(a_plan(1))
    assert stand.server.awaits() == "the models of fraud for epoch 1"
    with pytest.raises(StartingError):
        stand.server.predict("fraud", some_rows(), NOON)


def test_models_that_serve_already_are_not_fetched_again() -> None:
    stand = Stand()
    stand.hear(a_plan(1))
    stand.hear(a_plan(2, shadow="2"))
    stand.hear(a_plan(3, 0.1, shadow="2"))
    assert stand.shelf.fetched == ["1", "2"]
    stand.hear(a_plan(4, champion="2"))
    assert len(stand.server.live["fraud"].scorers) == 1


def test_a_repeat_renews_the_lease() -> None:
    stand = Stand()
    stand.hear(a_plan(1, 1.0, ttl_s=30))
    stand.pass_time(29)
    stand.hear(a_plan(1, 1.0, ttl_s=30))
    stand.pass_time(29)
    assert {answer.arm for answer in stand.server.predict("fraud", some_rows(), NOON)} == {"candidate"}
    stand.pass_time(1)
    assert {answer.arm for answer in stand.server.predict("fraud", some_rows(), NOON)} == {"champion"}
    stand.hear(a_plan(1, 1.0, ttl_s=30))
    assert {answer.arm for answer in stand.server.predict("fraud", some_rows(), NOON)} == {"candidate"}
    assert stand.alerts() == []


def test_a_tombstone_drops_an_old_plan_and_the_newer_one_stays() -> None:
    stand = Stand()
    stand.hear(a_plan(1), a_plan(2, champion="2"))
    stand.bury(1)
    stand.server.step()
    assert stand.epoch() == 2


def test_the_tombstone_of_the_only_plan_ends_serving() -> None:
    stand = Stand()
    stand.hear(a_plan(1))
    stand.bury(1)
    stand.server.step()
    assert stand.epoch() is None


def test_a_tombstone_before_the_models_are_there_means_they_are_not_awaited() -> None:
    stand = Stand()
    stand.shelf.loading = {"1"}
    stand.hear(a_plan(1))
    stand.bury(1)
    stand.server.step()
    assert (stand.epoch(), stand.lag(), stand.server.awaits()) == (None, 0, None)


def test_a_plan_whose_successor_waits_for_models_serves_on_though_it_is_buried() -> None:
    stand = Stand()
    stand.hear(a_plan(1))
    stand.shelf.loading = {"2"}
    stand.say(a_plan(2, champion="2"))
    stand.bury(1)
    stand.server.step()
    assert stand.epoch() == 1
    stand.shelf.loading = set()
    stand.server.step()
    assert stand.epoch() == 2


def test_only_what_the_gate_has_signed_serves(gate: PrivateKey) -> None:
    stand = Stand(gate.public)
    stand.hear(signed(a_plan(1), gate))
    assert stand.epoch() == 1
    forged = signed(a_plan(2, 1.0), gate)
    swapped = a_verdict("3").artifact
    candidate = forged.arms[1]
    verdict = candidate.verdict.model_copy(update={"artifact": swapped})
    stand.hear(forged.model_copy(update={"arms": (forged.arms[0], candidate.model_copy(update={"verdict": verdict}))}))
    assert stand.epoch() == 1
    assert stand.server.refused == 1
    assert stand.shelf.fetched == ["1"]
    (alert,) = stand.alerts()
    assert (alert.name, alert.details["reason"], alert.severity) == ("plan_refused", "bad_signature", "error")
    assert stand.lag() == 0


def test_the_shadow_must_be_signed_too(gate: PrivateKey) -> None:
    stand = Stand(gate.public)
    plan = signed(a_plan(1, shadow="2"), gate)
    stand.hear(signed(a_plan(1), gate), plan.model_copy(update={"epoch": 2, "shadow": an_arm("shadow", "2", 0.0)}))
    assert stand.epoch() == 1
    assert stand.server.refused == 1


def test_after_a_restart_a_plan_with_a_forged_candidate_leaves_the_proven_champion_alone(gate: PrivateKey) -> None:
    stand = Stand(gate.public)
    plan = signed(a_plan(1), gate)
    stand.hear(
        plan.model_copy(
            update={"arms": (plan.arms[0].model_copy(update={"weight": 0.5}), an_arm("candidate", "2", 0.5))}
        )
    )
    assert {answer.version for answer in stand.server.predict("fraud", some_rows(50), NOON)} == {"1"}


@pytest.mark.parametrize(
    "arms",
    [
        (an_arm("candidate", "1", 1.0),),
        (an_arm("champion", "1", 0.5), an_arm("champion", "2", 0.5)),
        (an_arm("champion", "1", 0.9), an_arm("candidate", "2", 0.2)),
        (an_arm("champion", "1", 1.0, a_verdict("1", about="2")),),
        (an_arm("champion", "1", 1.0, a_verdict("1", model="other")),),
    ],
)
def test_a_plan_that_breaks_a_rule_is_refused(arms: tuple[e.ArmPlan, ...]) -> None:
    stand = Stand()
    stand.hear(a_plan(1, champion="5"), a_plan(2).model_copy(update={"arms": arms}))
    assert stand.epoch() == 1
    assert stand.server.refused == 1


def test_a_plan_under_the_key_of_another_is_refused() -> None:
    stand = Stand()
    stand.hear(a_plan(1))
    stand.say(a_plan(2, champion="2"), key="fraud:3")
    stand.server.step()
    assert (stand.epoch(), stand.server.refused) == (1, 1)


def test_one_epoch_has_one_plan() -> None:
    stand = Stand()
    stand.hear(a_plan(1))
    stand.hear(a_plan(1, champion="2"))
    assert {answer.version for answer in stand.server.predict("fraud", some_rows(), NOON)} == {"1"}
    assert [alert.details["reason"] for alert in stand.alerts()] == ["conflict"]


def test_swapped_bytes_are_refused_and_told_once_however_often_the_plan_is_repeated() -> None:
    stand = Stand()
    stand.hear(a_plan(1))
    stand.shelf.refusing = {"2": "digest_mismatch"}
    for _ in range(3):
        stand.hear(a_plan(2, 0.5))
    assert (stand.epoch(), stand.lag()) == (1, 0)
    assert [alert.details["reason"] for alert in stand.alerts()] == ["digest_mismatch"]
    assert stand.shelf.fetched == ["1", "2"]


def test_what_was_only_missing_is_tried_again_with_the_next_repeat() -> None:
    stand = Stand()
    stand.hear(a_plan(1))
    stand.shelf.refusing = {"2": "missing"}
    stand.hear(a_plan(2, 0.5))
    stand.hear(a_plan(2, 0.5))
    assert stand.epoch() == 1
    assert len(stand.alerts()) == 1
    stand.shelf.refusing = {}
    stand.hear(a_plan(2, 0.5))
    assert stand.epoch() == 2


def test_a_champion_left_alone_gets_its_candidate_when_that_can_be_loaded() -> None:
    stand = Stand()
    stand.shelf.refusing = {"2": "missing"}
    stand.hear(a_plan(1, 1.0))
    stand.server.step()
    assert {answer.arm for answer in stand.server.predict("fraud", some_rows(), NOON)} == {"champion"}
    stand.shelf.refusing = {}
    stand.hear(a_plan(1, 1.0))
    assert {answer.arm for answer in stand.server.predict("fraud", some_rows(), NOON)} == {"candidate"}


def test_reading_all_again_changes_nothing() -> None:
    stand = Stand()
    stand.hear(a_plan(1), a_plan(2, 0.5))
    before = stand.server.live["fraud"]
    stand.server.reopen()
    stand.server.step()
    assert stand.server.live["fraud"] == before
    assert stand.alerts() == []
    assert stand.lag() == 0


def test_progress_is_visible_under_the_replicas_own_group() -> None:
    stand = Stand()
    stand.hear(a_plan(1))
    client = stand.broker.client()
    places = places_of(client, [topics.TRAFFIC.name])
    assert client.committed("everloop.serving.broadcast.0", places) == client.ends(places)


def test_a_model_that_raises_is_no_reason_to_refuse_a_plan() -> None:
    stand = Stand()
    stand.shelf.models["1"] = Broken()
    stand.hear(a_plan(1))
    assert stand.epoch() == 1


def signed(plan: e.TrafficPlanned, key: PrivateKey) -> e.TrafficPlanned:
    """The plan with every verdict signed."""

    def sign(arm: e.ArmPlan) -> e.ArmPlan:
        return arm.model_copy(update={"verdict": sign_verdict(key, arm.verdict)})

    shadow = sign(plan.shadow) if plan.shadow else None
    return plan.model_copy(update={"arms": tuple(map(sign, plan.arms)), "shadow": shadow})
