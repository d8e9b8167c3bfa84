from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from everloop.errors import UsageError
from everloop.loop import Loop, json_schema
from everloop.loop.places import read_document
from everloop.loopfile import LoopFileError, Problem, read_loop

ROOT = Path(__file__).parents[3]
HEAD = """kind: Loop
version: 1
model: fraud
task: binary
columns: {id: txn_id, time: ts, label: is_fraud}
"""
SCHEMA = Draft202012Validator(json_schema())

EXAMPLE = """
kind: Loop
version: 1
model: fraud
task: binary                                   # binary | multiclass | regression
columns: {id: txn_id, time: ts, label: is_fraud, entity: card_id}   # features: inferred at bootstrap, then frozen
windows: {every: 15m, grace: 2m, min_rows: 500}                     # or {rows: 2000}
labels: {horizon: 1h, delay: 0s}
drift: {default: {test: psi, limit: 0.2}, share: 0.3, confirm: 2}
train: {on: [drift, quality, schedule], schedule: "0 3 * * *", cooldown: 6h, max_per_day: 2, fresh_labels: 1000,
        recipe: sklearn.ensemble.HistGradientBoostingClassifier, data: {rolling: 90d}}
gate: {floor: {roc_auc: 0.80}, champion: {roc_auc: {at_least: 99%}}, latency_p95: 100ms, approval: auto}
rollout: {shadow: 10m, steps: [10%, 50%, 100%], hold: 10m, abort: {error_rate: 1%}, min_rows: 1000, deadline: 4h,
          labels: when_matured}
owner: {team: risk, alerts: [topic]}
"""

GOOD = {
    "nothing more": "",
    "a key called on": "train:\n  on: [schedule]\n  schedule: '0 3 * * MON-FRI'",
    "only by command": "train: {on: []}",
    "all rows": "train: {data: {full: true}}",
    "since the change": "train: {data: {since: change}}",
    "half-life": "train: {data: {weighted: 30d}}",
    "own recipe": "train: {recipe: 'my_models.fraud:build'}",
    "a team called no": "owner: {team: no, alerts: []}",
    "a floor on a loss": "gate: {floor: {log_loss: 0.5, roc_auc: 1}}",
    "a column with a limit": "drift: {columns: {'the amount': {test: ks}}}",
    "no shadow": "rollout: {shadow: 0s, steps: [100%], labels: ignore, abort: {latency_p95: 200ms}}",
    "features": "features: {amount: numeric, country: categorical}",
    "feedback": "feedback: {revenue: {least: 0, most: 100000}, click: {}}",
    "as many names as there may be": f"feedback: {{{', '.join(f'n{number}: {{}}' for number in range(16))}}}",
}

# What follows the head (so its first line is 6): text, line, key, what is said, and whether the schema says so too.
BAD = [
    ("drift:\n  default:\n    test: pis", 8, "drift.default.test", '"pis" is not allowed; allowed: psi, ks', True),
    ("drift: {columns: {a: {test: pis}}}", 6, "drift.columns.a.test", "did you mean psi?", True),
    ("drift: {default: {test: [psi]}}", 6, "drift.default.test", "the list is not allowed", True),
    ("drift: {default: {limit: '0.2'}}", 6, "drift.default.limit", '"0.2" should be a number without quotes', True),
    ("drift: {default: {test: ks, limit: 2}}", 6, "drift.default.limit", "2 is not a p-value", False),
    ("drift: {share: 0}", 6, "drift.share", "0 should be greater than 0", True),
    ("drift: {share: 1e999}", 6, "drift.share", "finite", True),
    (
        "drift: {false_alarms: 1 per 30d, columns: {x: {limit: 1}}}",
        6,
        "drift.false_alarms",
        "cannot stand beside",
        False,
    ),
    ("drift: {false_alarms: seldom}", 6, "drift.false_alarms", "is not a rate; write", True),
    ("drift: {false_alarms: 1 per 0s}", 6, "drift.false_alarms", "is not a rate; write", True),
    ("windows: {segments: {columns: [a, a]}}", 6, "windows.segments.columns", "names a column twice", True),
    ("windows: {segments: {columns: [a, ts]}}", 6, "windows.segments.columns.1", "has no segments", False),
    ("windows: {segments: {columns: []}}", 6, "windows.segments.columns", "at least 1", True),
    ("windows: {segments: {columns: [a, b, c, d, e]}}", 6, "windows.segments.columns", "at most 4", True),
    ("windows: {segments: {columns: [a], most: 101}}", 6, "windows.segments.most", "100", True),
    ("windows: {segments: {most: 5}}", 6, "windows.segments.columns", "", True),
    ("drift: {concept: {detectors: [adwin, adwin]}}", 6, "drift.concept.detectors", "names a detector twice", True),
    ("drift: {concept: {detectors: [adwim]}}", 6, "drift.concept.detectors.0", "did you mean adwin?", True),
    ("drift: {concept: {decides: 1}}", 6, "drift.concept.decides", "1 should be a valid boolean", True),
    ("drift:", 6, "drift", "an empty value should be a mapping", True),
    ("dirft: {share: 0.5}", 6, "dirft", "did you mean drift?", True),
    ("windows:\n  every: 15 minutes", 7, "windows.every", '"15 minutes" is not a duration', True),
    ("windows: {every: 15}", 6, "windows.every", "15 is not a duration; write it with its unit", True),
    ("windows: {every: 0s}", 6, "windows.every", '"0s" is too short', True),
    ("windows: {every: 4000d}", 6, "windows.every", "is out of bounds", False),
    ("windows:\n  grace: 1h\n  every: 15m", 7, "windows.grace", "must be shorter than windows.every", False),
    ("windows: {every: 1m}", 6, "windows.grace", "the default is too long", False),
    ("windows: {min_rows: '500'}", 6, "windows.min_rows", '"500" should be a whole number without quotes', True),
    ("windows: {min_rows: true}", 6, "windows.min_rows", "true should be a whole number", True),
    ("windows: {every: 15m, size: 20m}", 6, "windows.size", '"20m" is no multiple of windows.every', False),
    ("windows: {every: 1h, size: 15m}", 6, "windows.size", '"15m" is no multiple of windows.every', False),
    ("windows: {size: 1h, rows: 2000}", 6, "windows.rows", "2000 cannot stand beside windows.size", False),
    ("windows: {sliding: true}", 6, "windows.sliding", "true belongs to windows.rows", False),
    ("windows: {rows: 9, sliding: 1}", 6, "windows.sliding", "1 should be a valid boolean", True),
    ("windows: {revise: -1h}", 6, "windows.revise", "is not a duration", True),
    ("windows: {rows: 0}", 6, "windows.rows", "0 should be greater than or equal to 1", True),
    ("labels: {horizon: -1h}", 6, "labels.horizon", "is not a duration", True),
    ("train: {on: [drift, schedule]}", 6, "train.schedule", "does not agree with train.on", False),
    ("train: {schedule: '0 3 * * *'}", 6, "train.schedule", "does not agree with train.on", False),
    ("train: {on: [schedule], schedule: '0 3 * *'}", 6, "train.schedule", "is not of the right form", True),
    ("train: {on: [schedule], schedule: 'R * * * *'}", 6, "train.schedule", "is not of the right form", True),
    ("train: {on: [schedule], schedule: '61 3 * * *'}", 6, "train.schedule", "never fires", False),
    ("train: {on: [schedule], schedule: '0 0 30 2 *'}", 6, "train.schedule", "never fires", False),
    ("train:\n  on:\n    - drift\n    - drfit", 9, "train.on.1", "did you mean drift?", True),
    ("train: {on: [drift, drift]}", 6, "train.on", "names a cause twice", True),
    ("train: {recipe: os system}", 6, "train.recipe", "is not of the right form", True),
    ("train: {data: {rolling: 90d, full: true}}", 6, "train.data", "exactly one strategy", True),
    ("train: {data: {}}", 6, "train.data", "exactly one strategy", True),
    ("train: {data: {full: false}}", 6, "train.data.full", "false is not allowed; allowed: true", True),
    ("train: {holdout: 1}", 6, "train.holdout", "1 should be less than 1", True),
    ("train: {seed: 4294967296}", 6, "train.seed", "less than or equal to 4294967295", True),
    ("gate: {floor: {rmse: 1}}", 6, "gate.floor.rmse", "does not suit the task; write one of roc_auc", True),
    ("gate: {champion: {mae: {}}}", 6, "gate.champion.mae", "does not suit the task", True),
    ("gate: {floor: {f1: 0.5}}", 6, "gate.floor.f1", "is not a key here; allowed: roc_auc", True),
    ("gate: {floor: {roc_auc: 80}}", 6, "gate.floor.roc_auc", "roc_auc is at most 1", False),
    ("gate: {champion: {roc_auc: {at_least: 0.99}}}", 6, "gate.champion.roc_auc.at_least", "such as 10%", True),
    ("gate: {champion: {roc_auc: {at_least: 0%}}}", 6, "gate.champion.roc_auc.at_least", "keeps nothing", False),
    ("gate: {approval: manual}", 6, "gate.approval", "is not supported yet; write approval: auto", False),
    ("gate: {size: 1MiB}", 6, "gate.size", "is not a size", True),
    ("rollout: {steps: [10, 100%]}", 6, "rollout.steps.0", "10 is not a percentage", True),
    ("rollout: {steps: [50%, 10%, 100%]}", 6, "rollout.steps", "does not lead to 100%", False),
    ("rollout: {steps: [10%, 50%]}", 6, "rollout.steps", "does not lead to 100%", False),
    ("rollout: {steps: []}", 6, "rollout.steps", "at least 1 item", True),
    ("rollout: {abort: {error_rate: 101%}}", 6, "rollout.abort.error_rate", "is not a percentage", True),
    ("rollout: {ttl: 0s}", 6, "rollout.ttl", "is too short", True),
    ("owner: {alerts: [mail]}", 6, "owner.alerts.0", '"mail" is not allowed; allowed: topic', True),
    ("features: {amount: number}", 6, "features.amount", "allowed: numeric, categorical", True),
    ("feedback: {}", 6, "feedback", "at least 1 item", True),
    ("feedback: [click]", 6, "feedback", "should be a mapping", True),
    ("feedback: {click:}", 6, "feedback.click", "an empty value should be a mapping", True),
    ("feedback: {'a b': {}}", 6, "feedback.a b", "is no name of feedback; write a letter", True),
    ("feedback: {click: {mean: 1}}", 6, "feedback.click.mean", "is not a key here; allowed: least, most", True),
    ("feedback: {click: {least: '0'}}", 6, "feedback.click.least", "should be a number without quotes", True),
    ("feedback: {click: {least: 1e13}}", 6, "feedback.click.least", "less than or equal to 1000000000000", True),
    ("feedback: {click: {least: 2, most: 2}}", 6, "feedback.click.most", "2 is not above `least`", False),
    (f"feedback: {{{', '.join(f'n{number}: {{}}' for number in range(17))}}}", 6, "feedback", "at most 16", True),
    ("features: {is_fraud: numeric}", 6, "features.is_fraud", "is no feature", False),
]

UNREADABLE = [
    ("", 1, "the file is not a mapping; start with kind: Loop"),
    ("- kind: Loop", 1, "the file is not a mapping"),
    (HEAD + "model: fraud2\n", 6, "model: is written twice"),
    (HEAD + "a: &a [1]\nb: *a\n", 7, "aliases are not used"),
    (HEAD + "x: !!python/object/apply:os.system [ls]\n", 6, "tags are not used"),
    (HEAD + "x: " + "[" * 5000, 6, "nested deeper than 20 levels"),
    (HEAD + "---\nkind: Loop\n", 6, "not YAML: but found another document"),
    (HEAD + "x: 'open\n", 7, "not YAML: found unexpected end of stream"),
    (HEAD + "? [a]\n: b\n", 6, "a key must be a text"),
    (HEAD + "x: \x00\n", 1, "a character is not allowed"),
    (HEAD + "#" * 256 * 1024, 1, "the file is larger than 256 kB"),
]


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(LoopFileError) as caught:
        read_loop(text, "loops/fraud.yaml")
    return caught.value.problems


def accepted_by_schema(text: str) -> bool:
    return SCHEMA.is_valid(read_document(text).value)


@pytest.mark.parametrize("more", GOOD.values(), ids=GOOD)
def test_model_and_schema_accept(more: str) -> None:
    loop = read_loop(HEAD + more, "loops/fraud.yaml")
    assert accepted_by_schema(HEAD + more)
    assert SCHEMA.is_valid(loop.to_payload())
    assert Loop.from_payload(loop.to_payload()) == loop


@pytest.mark.parametrize(("more", "line", "key", "said", "schema_agrees"), BAD, ids=[row[0] for row in BAD])
def test_a_problem_has_its_line_and_its_key(more: str, line: int, key: str, said: str, *, schema_agrees: bool) -> None:
    (problem,) = problems_of(HEAD + more)
    assert (problem.line, problem.key) == (line, key)
    assert said in str(problem)
    assert str(problem).startswith(f"loops/fraud.yaml:{line}: {key}: ")
    assert accepted_by_schema(HEAD + more) is not schema_agrees


@pytest.mark.parametrize(("text", "line", "said"), UNREADABLE, ids=[row[2] for row in UNREADABLE])
def test_what_is_no_loop_file_is_refused_where_it_goes_wrong(text: str, line: int, said: str) -> None:
    (problem,) = problems_of(text)
    assert problem.line == line
    assert said in str(problem)


def test_all_problems_come_at_once_in_the_order_of_the_lines() -> None:
    found = problems_of(
        "kind: Lop\nversion: 2\nmodel: a b\ntask: bin\ncolumns: {id: a, time: b}\nwindows: {every: 1}\nx: 1"
    )
    assert [(problem.line, problem.key) for problem in found] == [
        (1, "kind"),
        (2, "version"),
        (3, "model"),
        (4, "task"),
        (5, "columns.label"),
        (6, "windows.every"),
        (7, "x"),
    ]


def test_a_problem_is_one_line_as_compilers_write_it() -> None:
    (problem,) = problems_of(HEAD + "drift: {default: {test: pis}}")
    assert str(problem) == (
        'loops/fraud.yaml:6: drift.default.test: "pis" is not allowed; '
        "allowed: psi, ks, chi_square, jensen_shannon, wasserstein; did you mean psi?"
    )
    assert problem.column == 25


def test_columns_differ() -> None:
    (problem,) = problems_of(HEAD.replace("time: ts", "time: txn_id"))
    assert (problem.line, problem.key, problem.message) == (5, "columns", "the mapping names one column twice")


@pytest.mark.parametrize(
    "more",
    ["password: hunter2", "drift: {columns: {api_token: {test: hunter2}}}", "owner: {secret: {x: hunter2}}"],
)
def test_what_sounds_secret_is_never_shown(more: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_loop(HEAD + more, "loops/fraud.yaml")
    assert "hunter2" not in str(caught.value)


def test_a_key_cannot_steer_a_terminal() -> None:
    (problem,) = problems_of(HEAD + '"\\e[31m\\n": 1')
    assert problem.key == "?[31m?"


def test_a_file_full_of_problems_is_answered_in_bounds() -> None:
    with pytest.raises(LoopFileError) as caught:
        read_loop(HEAD + "".join(f"x{number}: 1\n" for number in range(1000)), "loops/fraud.yaml")
    assert len(caught.value.problems) == 1000
    assert str(caught.value).endswith("\nand 950 more")


def test_the_example_of_the_notation() -> None:
    loop = read_loop(EXAMPLE, "loops/fraud.yaml")
    assert accepted_by_schema(EXAMPLE)
    assert loop.train.on == ("drift", "quality", "schedule")
    assert loop.gate.champion["roc_auc"].at_least == 0.99
    assert loop.owner.team == "risk"


def test_long_values_are_cut() -> None:
    (problem,) = problems_of(HEAD + f"windows: {{every: {'z' * 500}}}")
    assert len(str(problem)) < 200


@pytest.mark.parametrize("path", sorted((ROOT / "loops").glob("*.yaml")), ids=lambda path: path.name)
def test_the_files_in_loops_are_good(path: Path) -> None:
    read_loop(path.read_text(), path.name)
    assert accepted_by_schema(path.read_text())


@settings(deadline=None, max_examples=60)
@given(
    st.text(max_size=200)
    | st.recursive(
        st.text() | st.floats() | st.none() | st.booleans() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ).map(yaml.safe_dump)
)
def test_any_text_is_a_loop_or_a_list_of_problems(text: str) -> None:
    assert problems_of(text)


KEYS = (
    "windows",
    "labels",
    "drift",
    "train",
    "gate",
    "rollout",
    "owner",
    "features",
    "every",
    "on",
    "data",
    "floor",
    "x",
)
VALUES: st.SearchStrategy[object] = st.sampled_from(
    ["1h", "0s", "10%", 1, 0.5, 0, True, None, "psi", "drift", [], ["100%"], {}, "roc_auc"]
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3)))
def test_what_the_model_accepts_the_schema_accepts(parts: dict[str, object]) -> None:
    text = HEAD + (yaml.safe_dump(parts) if parts else "")
    try:
        read_loop(text, "loops/fraud.yaml")
    except LoopFileError:
        return
    assert accepted_by_schema(text)
