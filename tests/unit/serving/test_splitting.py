"""The split is sticky, fair and monotone, and ends with the champion when nobody renews it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from everloop_serving.domain.splitting import arm_of, in_force, route
from tests.unit.serving.builders import NOON_MS, a_lease, a_plan

entities = st.text(max_size=40)
weights = st.floats(min_value=0.001, max_value=1.0)


@given(entities, weights, st.text(max_size=20))
def test_an_entity_always_has_the_same_arm(entity: str, weight: float, salt: str) -> None:
    assert len({arm_of(entity, a_plan(epoch, weight, salt=salt)) for epoch in range(1, 4)}) == 1


@given(entities, weights, weights)
def test_no_key_goes_back_when_the_weight_grows(entity: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    if arm_of(entity, a_plan(1, small)) == "candidate":
        assert arm_of(entity, a_plan(2, large)) == "candidate"


def test_each_step_has_its_share_of_100_000_keys_and_keeps_those_of_the_step_before() -> None:
    keys = [f"card{number}" for number in range(100_000)]
    before: set[str] = set()
    for weight in (0.1, 0.5, 1.0):
        plan = a_plan(1, weight)
        now = {key for key in keys if arm_of(key, plan) == "candidate"}
        assert abs(len(now) / len(keys) - weight) < 0.01
        assert before <= now
        before = now


def test_another_salt_splits_otherwise() -> None:
    keys = [f"card{number}" for number in range(1_000)]
    one, other = ([arm_of(key, a_plan(1, 0.5, salt=salt)) == "candidate" for key in keys] for salt in ("one", "other"))
    agree = sum(a == b for a, b in zip(one, other, strict=True))
    assert 400 < agree < 600


def test_rows_of_one_entity_stay_together_and_every_row_has_one_arm() -> None:
    routed = route(["a", "b", "a", "c", "d", "e", "b"], a_lease(a_plan(1, 0.5)), NOON_MS)
    assert sorted(place for places in routed.values() for place in places) == list(range(7))
    assert any({0, 2} <= set(places) for places in routed.values())
    assert any({1, 6} <= set(places) for places in routed.values())
    assert route([], a_lease(a_plan()), NOON_MS) == {}


def test_when_the_lease_runs_out_only_the_champion_is_left() -> None:
    lease = a_lease(a_plan(1, 1.0, shadow="2", ttl_s=30))
    assert route(["a", "b"], lease, NOON_MS + 29_999) == {"candidate": [0, 1]}
    assert route(["a", "b"], lease, NOON_MS + 30_000) == {"champion": [0, 1]}
    ended = in_force(lease, NOON_MS + 30_000)
    assert ended.shadow is None
    assert [(arm.arm, arm.weight) for arm in ended.arms] == [("champion", 1.0)]
    assert in_force(lease, NOON_MS).shadow is not None


def test_the_champion_has_no_lease() -> None:
    assert route(["a"], a_lease(a_plan(), 0), 10**15) == {"champion": [0]}
