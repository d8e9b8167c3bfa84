from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import JsonValue, ValidationError

from everloop.errors import InvalidError
from everloop.loop import HIGHER_IS_BETTER, LIMITS, METRICS, Limit, Loop, Windows, json_schema, loop_digest
from everloop.loop.schema import schema_at, schema_text
from everloop.loopfile import read_loop

ROOT = Path(__file__).parents[3]


def a_payload(**parts: JsonValue) -> dict[str, JsonValue]:
    columns: JsonValue = {"id": "txn_id", "time": "ts", "label": "is_fraud"}
    return {"kind": "Loop", "version": 1, "model": "fraud", "task": "binary", "columns": columns, **parts}


def a_loop(**parts: JsonValue) -> Loop:
    return Loop.from_payload(a_payload(**parts))


def test_training_does_not_look_back_beyond_what_is_kept() -> None:
    with pytest.raises(InvalidError, match=r"longer than archive\.keep.*raise archive\.keep"):
        a_loop(archive={"keep": "30d"})
    assert a_loop(archive={"keep": "90d"}).archive.keep == timedelta(days=90)
    assert a_loop(archive={"keep": "1d"}, train={"data": {"full": True}}).archive.grace == timedelta(days=7)


def test_everything_but_five_keys_has_a_default() -> None:
    loop = a_loop()
    assert (loop.windows.every, loop.windows.grace, loop.windows.min_rows) == (
        timedelta(minutes=15),
        timedelta(minutes=2),
        500,
    )
    assert (loop.labels.horizon, loop.labels.delay) == (timedelta(hours=1), timedelta(0))
    assert (loop.drift.default, loop.drift.share, loop.drift.confirm) == (Limit(test="psi", limit=0.2), 0.3, 2)
    assert (loop.train.on, loop.train.schedule, loop.train.cooldown) == (("drift", "quality"), None, timedelta(hours=6))
    assert (loop.train.data.strategy, loop.train.data.span) == ("rolling", timedelta(days=90))
    assert loop.gate.floor == {}
    assert (loop.gate.latency_p95, loop.gate.size) == (timedelta(milliseconds=100), 100_000_000)
    assert (loop.rollout.steps, loop.rollout.abort.error_rate) == ((0.1, 0.5, 1.0), 0.01)
    assert loop.owner.alerts == ("topic",)


def test_each_of_the_five_keys_is_needed() -> None:
    for key in ("kind", "version", "model", "task", "columns"):
        payload = a_payload()
        del payload[key]
        with pytest.raises(InvalidError, match=f"loop rules: {key}: "):
            Loop.from_payload(payload)


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_a_payload_says_the_same_loop(name: str) -> None:
    loop = read_loop((ROOT / f"loops/{name}.yaml").read_text(), name)
    over_the_wire = orjson.loads(orjson.dumps(loop.to_payload()))
    assert Loop.from_payload(over_the_wire) == loop
    assert Loop.from_payload(over_the_wire).to_payload() == loop.to_payload()


def test_the_example_of_the_full_file_names_every_key() -> None:
    written = (ROOT / "loops/full.yaml").read_text()
    missing = [path for path, _ in described(json_schema()) if f"{path.rpartition('.')[2]}:" not in written]
    assert missing == []


def test_the_digest_is_of_the_meaning() -> None:
    assert loop_digest(a_loop()) == loop_digest(a_loop(windows={"every": "900s", "grace": "120s"}))
    assert loop_digest(a_loop()) != loop_digest(a_loop(windows={"min_rows": 501}))


def test_a_loop_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        a_loop().windows.min_rows = 1  # type: ignore[misc]


def test_parts_can_be_built_from_values() -> None:
    assert Windows(every=timedelta(hours=1)) == a_loop(windows={"every": "1h"}).windows


@pytest.mark.parametrize(("test", "limit"), LIMITS.items())
def test_a_test_brings_its_own_limit(test: str, limit: float) -> None:
    assert a_loop(drift={"default": {"test": test}}).drift.default.limit == limit


def test_a_small_p_value_is_drift_and_a_small_distance_is_not() -> None:
    assert Limit(test="ks").is_p_value
    assert not Limit(test="psi").is_p_value


@pytest.mark.parametrize(
    ("task", "metric"), [("binary", "roc_auc"), ("multiclass", "accuracy"), ("regression", "rmse")]
)
def test_the_primary_metric_is_kept_at_99_percent_unless_said_otherwise(task: str, metric: str) -> None:
    assert a_loop(task=task).non_inferiority == {metric: 0.99}


def test_said_otherwise() -> None:
    assert a_loop(gate={"champion": {"brier": {"at_least": "95%"}}}).non_inferiority == {"brier": 0.95}


def test_each_metric_belongs_to_a_task() -> None:
    assert set.union(*map(set, METRICS.values())) > HIGHER_IS_BETTER


def test_an_error_of_a_payload_does_not_show_its_values() -> None:
    with pytest.raises(InvalidError, match=r"train.recipe") as caught:
        Loop.from_payload(a_payload(train={"recipe": "hunter2 hunter2"}))
    assert "hunter2" not in str(caught.value)
    assert caught.value.reason == "shape"


def test_the_published_schema_is_the_generated_one() -> None:
    published = (ROOT / "docs/schema/loop.v1.json").read_text()
    assert published == schema_text(), "write everloop.loop.schema.schema_text() to docs/schema/loop.v1.json"
    Draft202012Validator.check_schema(orjson.loads(published))


def test_every_key_is_described() -> None:
    assert [path for path, about in described(json_schema()) if len(str(about.get("description", ""))) < 10] == []


def test_the_schema_can_be_walked() -> None:
    schema = json_schema()
    assert schema_at(schema, ("drift", "columns", "amount", "test"))["enum"] == list(LIMITS)
    assert schema_at(schema, ("rollout", "steps", 0))["type"] == "string"
    assert schema_at(schema, ("nowhere", "at", "all")) == {}


def described(schema: dict[str, JsonValue]) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    """Every key of the schema, as `Part.key`, with what is said of it."""
    parts = schema["$defs"]
    assert isinstance(parts, dict)
    for name, part in {"Loop": schema, **parts}.items():
        properties = part["properties"] if isinstance(part, dict) else None
        assert isinstance(properties, dict)
        for key, about in properties.items():
            assert isinstance(about, dict)
            section = parts.get(str(about.get("$ref", "")).removeprefix("#/$defs/"))
            yield f"{name}.{key}", {**(section if isinstance(section, dict) else {}), **about}
