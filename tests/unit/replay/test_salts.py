"""Who is in which arm of a rollout does not depend on which replay it is."""

from __future__ import annotations

from everloop import events as e
from everloop_rollout.domain.deciding import decide
from everloop_rollout.domain.phases import initial
from tests.builders import NOON, a_fresh_id, a_loop, a_signed_verdict


def salt_of(model: str) -> str:
    passed = e.VersionPassed(
        id=a_fresh_id(), time=NOON, model=model, version="1", champion=None, checks=(), verdict=a_signed_verdict("1")
    )
    said = decide(initial(), passed, NOON, a_loop(model=model), None)
    assert isinstance(said, e.VersionPromoted)
    return said.salt


def test_all_replays_of_a_name_have_its_salts() -> None:
    assert salt_of("fraud.r1") == salt_of("fraud.r2") == salt_of("fraud")
    assert salt_of("churn") != salt_of("fraud")
