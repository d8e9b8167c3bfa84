"""A file through the small stack in memory: what is sent when, in lock-step and at a pace."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from everloop import events as e
from everloop import topics
from everloop.errors import FatalError
from everloop.replay.commands import request
from everloop.replay.course import Course
from everloop.replay.lockstep import LockStep
from everloop.replay.play import Play, Seen, moment
from everloop.replay.served import Served
from everloop.replay.view import progress, told
from everloop.replay.watching import Follower
from tests.builders import HOUR_MS, NOON, a_loop
from tests.unit.demo.histories import a_promotion
from tests.unit.replay.fakes import MODEL, Scene, a_scene, place_of, write
from tests.unit.replay.test_course import half_hours, hourly
from tests.unit.replay.test_course import told as legs_told


def a_play(scene: Scene, rows: int = 6) -> Play:
    play = Play(Course(hourly(delay="30m"), half_hours(rows), 2), LockStep(MODEL, scene.client), Served(MODEL))
    scene.client.journals.listen = play.served.hear
    scene.client.predictions.listen = play.served.see
    return play


def test_in_lock_step_each_leg_is_fed_closed_and_decided() -> None:
    scene = a_scene()
    play, seen = a_play(scene), list[Seen]()
    play.show = seen.append
    play.lock.begin(moment(play.course.start))
    scene.calls.clear()
    play.in_lock_step()
    one = ["rows 2", "labels 2", "clock 14/13/0", "clock 14/14/0"]
    assert scene.calls == [*one, "rows 2", "labels 2", "clock 15/14/0", "clock 15/15/0"]
    assert [one.rows for one in seen] == [2, 4]
    assert legs_told(list(play.course.legs()))[-1][2] * HOUR_MS == seen[-1].now - play.course.first


def test_history_without_a_first_champion_is_an_error_that_says_where_it_stands() -> None:
    scene = a_scene()
    with pytest.raises(FatalError, match="there is no first champion: waiting for the trainer"):
        a_play(scene).first_champion()
    assert scene.calls[:2] == ["clock 12/12/0", "history 2"]
    assert "labels 2" in scene.calls


def test_the_request_for_the_first_version_opens_a_thread_at_the_model_s_time() -> None:
    scene = a_scene()
    asked = request(scene.client.log, MODEL, NOON, by="replay", bootstrap=True)
    (record,) = Follower(scene.client.log, [topics.COMMANDS.name]).news()
    assert dict(record.headers)["ce_correlationid"] == dict(record.headers)["ce_id"] == str(asked).encode()


def test_at_a_pace_rows_labels_and_clock_come_when_the_time_has_come() -> None:
    """An hour of the model passes between two looks."""
    scene = a_scene()
    play = a_play(scene)
    wall = iter(range(100))
    play.monotonic, play.sleep = (lambda: float(next(wall))), lambda _: None
    play.at_pace(3600)
    sent = [call for call in scene.calls if not call.startswith("clock")]
    assert sent == ["rows 3", "labels 2", "rows 1", "labels 2"]
    moves = [moved.control for moved in scene.stack.ticks]
    assert moves == sorted(moves)
    assert {moved.data == moved.control for moved in scene.stack.ticks} == {True}
    assert moves[-1] == moment(play.course.end)


def test_a_line_tells_rows_event_time_champion_and_quality() -> None:
    served = Served(MODEL)
    assert told(Seen(0, 0), served) == "1970-01-01 00:00  champion –  AUC –"
    served.hear(a_promotion(0, "7"))
    served.labelled.extend([(0.9, 1.0), (0.1, 0.0)])
    file = io.StringIO()
    with progress(Console(file=file, width=200), 1000, served) as show:
        for rows in (10, 20, 500):
            show(Seen(rows, 0))
    assert file.getvalue().splitlines() == [
        "10 of 1000 rows  1970-01-01 00:00  champion 7  AUC 1.000",
        "500 of 1000 rows  1970-01-01 00:00  champion 7  AUC 1.000",
    ]


def test_a_terminal_gets_a_bar() -> None:
    file = io.StringIO()
    with progress(Console(file=file, width=200, force_terminal=True), 1000, Served(MODEL)) as show:
        show(Seen(250, 0))
    assert "250/1000" in file.getvalue()


def test_only_the_replayed_model_is_heard() -> None:
    scene = a_scene()
    play = a_play(scene)
    other = a_loop(model="churn").model
    write(scene.stack.log, place_of(topics.TRAINING), e.TrainingSkipped(
        id=a_promotion(0).id, time=NOON, model=other, sequence=1, reason=e.Reason(rule="x")
    ))  # fmt: skip
    scene.client.journals.news()
    assert scene.client.journals.valid == 1
    assert play.served.events == []
