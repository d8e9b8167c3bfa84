"""`everloop why`: the chain of causes, its words, and what is said of a name that nothing has."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from everloop import events as e
from everloop import topics
from everloop.story import LINES, chain, one_line
from tests.builders import NOON, a_signed_verdict, a_training_requested
from tests.unit.cli.turns import (
    EPISODE,
    a_full_turn,
    a_stack,
    a_start,
    a_turn,
    a_window,
    everything_of,
    open_an_episode,
    refusal,
    train_and_refuse,
)

GOLDEN = Path(__file__).parent / "golden"
WHOLE = [
    "traffic", "promoted", "look", "step", "look", "shadow", "passed", "version", "training", "turn", "episode",
    "window",
]  # fmt: skip


def stages(*words: str) -> list[str]:
    result = a_full_turn().run("why", *words, "--json")
    assert result.exit_code == 0, result.output
    return [step["stage"] for step in orjson.loads(result.stdout)]


@pytest.mark.parametrize(("name", "file"), [("fraud:5", "promoted.txt"), ("fraud/2", "refused.txt")])
def test_the_whole_story_as_text(name: str, file: str) -> None:
    assert a_full_turn().run("why", name).stdout == (GOLDEN / file).read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("fraud:5",), WHOLE),
        (("fraud@5",), WHOLE),
        (("fraud:3",), ["traffic", *WHOLE[3:]]),
        (("fraud/3",), WHOLE[1:]),
        (("3", "--model", "fraud"), WHOLE[1:]),
        (("fraud/2",), ["refused", *WHOLE[7:]]),
    ],
)
def test_a_name_leads_to_its_chain(words: tuple[str, ...], expected: list[str]) -> None:
    assert stages(*words) == expected


def test_any_event_by_its_id_or_the_start_of_it() -> None:
    stack = a_full_turn()
    closed = [event for topic, event in everything_of(stack) if isinstance(event, e.TurnClosed)][-1]
    for name in (str(closed.id), closed.id.hex, str(closed.id)[:8], str(closed.id)[:12].upper()):
        steps = orjson.loads(stack.run("why", name, "--json").stdout)
        assert [step["stage"] for step in steps] == ["turn.closed", *WHOLE[1:]]


def test_each_step_has_rule_value_limit_and_samples() -> None:
    steps = orjson.loads(a_full_turn().run("why", "fraud/3", "--json").stdout)
    *_, passed, _version, training, _turn, episode, window = steps
    assert passed["figures"][0] == {
        "name": "floor", "rule": "gate.floor", "measured": 0.91, "limit": 0.8, "samples": 1200, "where": "loop",
        "verdict": "pass",
    }  # fmt: skip
    assert training["figures"][0]["measured"] == 1200
    assert [(one["rule"], one["measured"], one["limit"]) for one in episode["figures"]] == [
        ("psi", 0.41, 0.2),
        ("drift.share", 0.5, 0.3),
    ]
    assert window["event"]["start"] == episode["event"]["change_at"]


def test_an_epoch_whose_plan_is_compacted_away_is_told_from_the_journal() -> None:
    stack = a_full_turn()
    for records in stack.broker.records.values():
        records[:] = [one for one in records if one.place.topic != topics.TRAFFIC.name]
    steps = orjson.loads(stack.run("why", "fraud:3", "--json").stdout)
    assert [step["stage"] for step in steps] == WHOLE[3:]


def test_a_void_record_is_no_part_of_the_story() -> None:
    stack = a_full_turn()
    late = train_and_refuse(a_stack(), "3", EPISODE, NOON)
    stack.write(topics.VERDICTS, late.model_copy(update={"sequence": 1}), "fraud")
    assert "refused" not in stack.run("why", "fraud/3").stdout


def test_a_person_s_request_is_the_first_step_of_its_turn_even_when_a_tick_opened_it() -> None:
    asked = a_training_requested("examples.fraud.flipped:Recipe")
    asked = asked.model_copy(update={"correlation_id": asked.id})
    tick = e.Tick.named("later", NOON, "fraud")
    turn = a_turn(tick, asked.id, "command", NOON)
    started = a_start("4", asked.id, NOON)
    assert [step.stage for step in chain([asked, turn, started], started)] == ["training", "turn", "request"]


def test_the_first_version_and_a_rollback() -> None:
    passed = e.VersionPassed.named(
        "first", NOON, "fraud", version="1", champion=None, checks=(), verdict=a_signed_verdict("1")
    )
    why = e.Reason(rule="first_version")
    promoted = e.VersionPromoted.because(
        passed, NOON, version="1", previous=None, verdict=passed.verdict, salt="s", reason=why
    )
    back = e.VersionRolledBack.named(
        "back", NOON + timedelta(hours=1), "fraud", version="1", champion="0", verdict=passed.verdict, salt="s",
        reason=why,
    )  # fmt: skip
    assert [step.stage for step in chain([passed, promoted, back], back)] == ["taken back", "promoted", "passed"]


def test_a_later_window_leads_to_the_one_that_opened_the_episode() -> None:
    windows = [
        a_window(1, "drifted", e.Episode.NONE, share=0.5),
        a_window(2, "drifted", e.Episode.OPENED, share=0.5),
        a_window(3, "stable", e.Episode.CLOSED, share=0.0),
    ]
    assert [step.event for step in chain(windows, windows[2])] == windows[::-1]


def test_another_model_s_version_of_the_same_number_is_another_story() -> None:
    stack = a_full_turn()
    stack.say(topics.VERDICTS, _of_churn("7"))
    assert "churn/3 is not in the log; there is: churn/7" in refusal(stack.run("why", "churn/3"), 1)


def _of_churn(version: str) -> e.VersionPassed:
    verdict = a_signed_verdict(version)
    return e.VersionPassed.named("churn", NOON, "churn", version=version, champion=None, checks=(), verdict=verdict)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("fraud/9",), 1, "fraud/9 is not in the log; there is: fraud/3, fraud/2"),
        (("fraud:9",), 1, "fraud:9 is not in the log; there is: fraud:"),
        (("froud/1",), 1, "model froud is not in the log; there is: fraud"),
        (("deadbeef",), 1, "no event deadbeef; `everloop events` lists them"),
        (("2",), 1, "MODEL/VERSION"),
        (("no such thing",), 1, "among the last 0 records of predictions no row has this id"),
    ],
)
def test_a_name_that_nothing_has(words: tuple[str, ...], code: int, said: str) -> None:
    assert said in refusal(a_full_turn().run("why", *words), code)


def test_a_near_id_is_named() -> None:
    stack = a_stack()
    turn = open_an_episode(stack)
    near = turn.id.hex[:6] + ("00" if turn.id.hex[6:8] != "00" else "11")
    assert str(turn.id) in refusal(stack.run("why", near), 1)


def test_every_type_that_travels_has_a_line() -> None:
    assert set(LINES) == set(e.TYPES.values())
    for _, event in everything_of(a_full_turn()):
        assert len(one_line(event).splitlines()) == 1


# --------------------------------------------------------------------------------------------------- from a prediction


def served(*ids: str, version: str | None = "3", arm: str = "champion", epoch: int | None = 5) -> e.PredictionsLogged:
    given = {"digest": "ab" * 32, "score": (0.25,) * len(ids), "source": "serving"} if version else {}
    return e.PredictionsLogged.named(
        f"rows/{ids}", NOON, "fraud", prediction_id=ids, times=(1,) * len(ids), entity_id=("card 1234",) * len(ids),
        features={"amount": (7.5,) * len(ids)}, version=version, arm=arm if version else None, epoch=epoch, **given,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (served("a", "p-17"), ["prediction", *WHOLE[1:]]),
        (served("p-17", arm="candidate", epoch=3), ["prediction", *WHOLE[3:]]),
        (served("p-17", epoch=None), ["prediction", *WHOLE[1:]]),
        (served("p-17", version="1", epoch=3), ["prediction"]),
        (served("p-17", version=None, epoch=None), ["prediction"]),
    ],
)
def test_a_prediction_leads_to_the_decision_that_let_its_version_serve(
    row: e.PredictionsLogged, expected: list[str]
) -> None:
    stack = a_full_turn()
    stack.say(topics.PREDICTIONS, served("other"), row, served("another", "p-170"))
    for words in (("p-17",), ("p-17", "--prediction"), ("p-17", "--model", "fraud")):
        steps = orjson.loads(stack.run("why", *words, "--json").stdout)
        assert [step["stage"] for step in steps] == expected
        assert steps[0]["event"]["prediction_id"] == ["p-17"]
        assert steps[0]["event"]["features"] == {}
        assert steps[0]["event"]["entity_id"] is None


def test_a_prediction_that_came_compressed_in_arrow_is_found() -> None:
    stack = a_full_turn()
    stack.write_arrow(served("a", "p-17"))
    (first, *rest) = orjson.loads(stack.run("why", "p-17", "--json").stdout)
    assert (first["stage"], len(rest)) == ("prediction", len(WHOLE) - 1)
    assert first["event"]["prediction_id"] == ["p-17"]


def test_a_prediction_in_one_line() -> None:
    stack = a_full_turn()
    stack.say(topics.PREDICTIONS, served("p-17"))
    first = stack.run("why", "p-17").stdout.splitlines()[0]
    assert "prediction  p-17: version 3, arm champion, epoch 5, digest abababababab, score 0.25" in first


def test_the_newest_of_two_rows_with_one_id_is_told() -> None:
    stack = a_full_turn()
    stack.say(topics.PREDICTIONS, served("p-17", version="2", epoch=None), served("x", "p-17"))
    assert "version 3" in stack.run("why", "p-17").stdout.splitlines()[0]


def test_an_id_that_needs_escapes_and_one_of_another_model() -> None:
    stack = a_full_turn()
    stack.say(topics.PREDICTIONS, served('karte "ü"'))
    assert stack.run("why", 'karte "ü"').exit_code == 0
    assert "no row has this id" in refusal(stack.run("why", 'karte "ü"', "--model", "churn"), 1)
    assert "karte is not in the log" in refusal(stack.run("why", "karte", "--prediction"), 1)


def test_the_search_goes_backwards_in_chunks_and_ends_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everloop.cli.predictions.CHUNK", 3)
    monkeypatch.setattr("everloop.cli.why.WORTH_SAYING", 6)
    stack = a_full_turn()
    stack.say(topics.PREDICTIONS, served("p-17"), *(served(f"later {number}") for number in range(10)))
    result = stack.run("why", "p-17")
    assert result.exit_code == 0
    assert result.stderr == "".join(f"everloop: looked through {n} records of predictions\n" for n in (6, 9))
    bounded = stack.run("why", "p-17", "--records", "4")
    assert bounded.exit_code == 1
    assert "among the last 4 records" in bounded.stderr
