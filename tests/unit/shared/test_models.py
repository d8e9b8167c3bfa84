"""Only what training makes is ever built: the same model gives the same bytes, and anything else is refused."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import skops.io
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

import everloop
from everloop.errors import InvalidError
from everloop.models import Kind, ModelManifest, Task, dump, frame, load, pipeline
from everloop.models.allowed import TRUSTED
from everloop.models.archive import unpack
from everloop.models.probe import ProbeResult, probe_in_child

FEATURES: dict[str, Kind] = {"amount": "numeric", "country": "categorical", "age": "numeric"}
CLASSES: dict[Task, tuple[str, ...]] = {"binary": ("0", "1"), "multiclass": ("0", "1", "2"), "regression": ()}
ROWS = 200
TREE = DecisionTreeClassifier(max_depth=3, random_state=0)
HISTOGRAM = HistGradientBoostingClassifier(max_iter=2, random_state=0)
Columns = dict[str, Sequence[object]]


def some_columns(seed: int = 1) -> Columns:
    random = np.random.default_rng(seed)
    ages = [None if age < 20 else float(age) for age in random.integers(15, 90, ROWS)]
    countries = [["nl", "de", None][choice] for choice in random.integers(0, 3, ROWS)]
    return {"amount": random.normal(size=ROWS).tolist(), "country": countries, "age": ages}


def labels(task: Task) -> NDArray[Any]:
    amounts = np.asarray(some_columns()["amount"], dtype=float)
    cuts: dict[Task, NDArray[Any]] = {
        "binary": (amounts > 0).astype(int),
        "multiclass": np.digitize(amounts, [-0.5, 0.5]),
        "regression": amounts * 2,
    }
    return cuts[task]


def a_manifest(task: Task = "binary") -> ModelManifest:
    return ModelManifest(features=FEATURES, task=task, classes=CLASSES[task])


def fitted(estimator: BaseEstimator, task: Task = "binary") -> Pipeline:
    return pipeline(estimator, FEATURES).fit(frame(some_columns(), FEATURES), labels(task))


def a_file(estimator: BaseEstimator = TREE, task: Task = "binary") -> bytes:
    return dump(fitted(estimator, task), a_manifest(task))


CLASSIFIERS = [
    LogisticRegression(),
    SGDClassifier(loss="log_loss", random_state=0),
    SGDClassifier(loss="modified_huber", random_state=0),
    GaussianNB(),
    DecisionTreeClassifier(max_depth=3, random_state=0),
    RandomForestClassifier(4, random_state=0),
    ExtraTreesClassifier(4, random_state=0),
    GradientBoostingClassifier(n_estimators=3, random_state=0),
    GradientBoostingClassifier(n_estimators=9, random_state=0, n_iter_no_change=2, max_features=1),
    HistGradientBoostingClassifier(max_iter=3, random_state=0),
    HistGradientBoostingClassifier(max_iter=9, random_state=0, early_stopping=True, class_weight="balanced"),
    MLPClassifier((4,), random_state=0, solver="lbfgs", max_iter=500),
    MLPClassifier((4,), random_state=0, max_iter=20, tol=10.0),
    MLPClassifier((4,), random_state=0, max_iter=20, tol=10.0, solver="sgd", early_stopping=True),
    CalibratedClassifierCV(GaussianNB(), method="isotonic"),
    CalibratedClassifierCV(GaussianNB(), method="sigmoid"),
    DummyClassifier(),
]
REGRESSORS = [
    LinearRegression(),
    Ridge(),
    SGDRegressor(random_state=0),
    RandomForestRegressor(4, random_state=0),
    GradientBoostingRegressor(n_estimators=3, random_state=0),
    HistGradientBoostingRegressor(max_iter=3, random_state=0),
    HistGradientBoostingRegressor(max_iter=3, random_state=0, loss="absolute_error"),
]
FAMILIES = [
    *[(model, "binary") for model in CLASSIFIERS],
    *[(model, "multiclass") for model in CLASSIFIERS],
    *[(model, "regression") for model in REGRESSORS],
]


@pytest.mark.parametrize(("estimator", "task"), FAMILIES, ids=lambda value: str(value)[:50])
def test_a_model_scores_the_same_after_the_file_and_its_file_is_stable(estimator: BaseEstimator, task: Task) -> None:
    model = fitted(estimator, task)
    file = dump(model, a_manifest(task))
    scorer = load(file)
    table = frame(some_columns(seed=2), FEATURES)
    expected = model.predict(table) if task == "regression" else model.predict_proba(table)
    scores = scorer.score(some_columns(seed=2))
    if task == "regression":
        np.testing.assert_array_equal(scores, expected)
    else:
        np.testing.assert_array_equal(scores, expected[:, 1] if task == "binary" else expected.max(axis=1))
    assert dump(skops.io.loads(file, trusted=TRUSTED), a_manifest(task)) == file
    assert scorer.manifest == a_manifest(task)


def test_the_digest_is_the_same_in_every_process() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import test_models as t; from hashlib import sha256\n"
        "print(sha256(t.a_file(t.RandomForestClassifier(4, random_state=0))).hexdigest())"
    )
    env = {"PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(everloop.__file__).parents[1])}
    there = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], env=env, capture_output=True, check=True
    )
    here = sha256(a_file(RandomForestClassifier(4, random_state=0))).hexdigest()
    assert there.stdout.decode().strip() == here


def test_knowing_models_costs_no_scikit_learn() -> None:
    code = (
        "import sys, everloop.models, everloop.models.probe; print({'sklearn', 'pandas', 'skops'} & set(sys.modules))"
    )
    env = {"PYTHONPATH": str(Path(everloop.__file__).parents[1])}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout
    assert said.strip() == b"set()"


# Rows and columns


def test_a_missing_column_an_unknown_category_and_odd_numbers_are_scored() -> None:
    scorer = load(a_file(RandomForestClassifier(4, random_state=0)))
    odd: Columns = {"amount": [float("inf"), "x", None], "country": ["atlantis", None, 7], "surplus": [1, 2, 3]}
    assert scorer.score(odd).shape == (3,)
    assert scorer.score({"amount": [1.0]}).shape == (1,)
    assert scorer.score({"amount": []}).shape == (0,)


def test_a_row_is_read_in_the_order_of_the_manifest_not_of_the_request() -> None:
    scorer = load(a_file())
    columns = some_columns()
    turned = dict(reversed(columns.items()))
    np.testing.assert_array_equal(scorer.score(turned), scorer.score(columns))


def test_a_frame_spells_values_in_one_way() -> None:
    table = frame({"country": [1, 1.0, "1", np.int64(1), None, float("nan"), 1.5]}, {"country": "categorical"})
    assert table[:, 0].tolist() == ["1", "1", "1", "1", None, None, "1.5"]
    table = frame({"age": [1, "2", None, "old", float("-inf"), 10**400]}, {"age": "numeric"})
    np.testing.assert_array_equal(table[:, 0].astype(float), [1, 2, np.nan, np.nan, np.nan, np.nan])


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        frame({"age": [1], "amount": [1, 2]}, FEATURES)


@pytest.mark.parametrize(
    ("task", "classes"),
    [("binary", ("0",)), ("binary", ("0", "0")), ("multiclass", ()), ("regression", ("0", "1"))],
)
def test_a_manifest_whose_classes_do_not_fit_is_refused(task: Task, classes: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="do not fit"):
        ModelManifest(features=FEATURES, task=task, classes=classes)


@pytest.mark.parametrize(
    "manifest",
    [
        ModelManifest(features={"amount": "numeric"}, task="binary", classes=("0", "1")),
        ModelManifest(features=FEATURES, task="binary", classes=("1", "0")),
        ModelManifest(features=FEATURES, task="multiclass", classes=("0", "1", "2")),
    ],
)
def test_a_model_with_another_manifest_is_refused(manifest: ModelManifest) -> None:
    with pytest.raises(InvalidError, match="do not fit") as refusal:
        dump(fitted(DecisionTreeClassifier(max_depth=2)), manifest)
    assert refusal.value.reason == "shape"


def test_a_model_without_probabilities_is_refused() -> None:
    with pytest.raises(InvalidError, match="no probabilities"):
        dump(fitted(SGDClassifier(loss="hinge")), a_manifest())


# Hostile files


def reason_of(data: bytes) -> str:
    with pytest.raises(InvalidError) as refusal:
        load(data)
    return refusal.value.reason


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def with_schema(change: Callable[[dict[str, Any]], None], data: bytes | None = None) -> bytes:
    """Edit the description of a good file."""
    members = unpack(data or a_file())
    schema = orjson.loads(members["schema.json"])
    change(schema)
    return zipped({**members, "schema.json": orjson.dumps(schema)})


def marker_pickle(marker: Path) -> bytes:
    """A pickle that runs `touch marker` while it is read, spelled by hand."""
    return b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."


def calls(module: str, name: str, argument: str) -> dict[str, Any]:
    """A node that would call `module.name(argument)` if it were built."""
    text = {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": orjson.dumps(argument).decode(),
    }
    arguments = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [text]}
    return {"__class__": name, "__module__": module, "__loader__": "ConstructorFromReduceNode", "content": arguments}


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


def hostile(marker: Path) -> list[bytes]:
    return [
        marker_pickle(marker),
        zipped({**unpack(a_file()), "schema.json": marker_pickle(marker)}),
        zipped({**unpack(a_file()), "0.npy": marker_pickle(marker)}),
        with_schema(lambda schema: schema.update(calls("os", "system", f"touch {marker}"))),
        with_schema(lambda schema: schema.update(calls("builtins", "open", str(marker)))),
    ]


def test_the_payloads_of_these_tests_would_work(marker: Path) -> None:
    node = calls("os", "system", f"touch {marker}")
    skops.io.loads(
        zipped({"schema.json": orjson.dumps({**node, "protocol": 2})}), trusted=["posix.system", "os.system"]
    )
    assert marker.exists()


def test_a_payload_is_never_run(marker: Path, tmp_path: Path) -> None:
    for number, data in enumerate(hostile(marker)):
        assert reason_of(data) in {"malformed", "untrusted_type"}
        path = tmp_path / f"{number}.skops"
        path.write_bytes(data)
        assert not probe_in_child(path, sha256(data).hexdigest(), {"amount": [1.0]}, 60).ok
    assert not marker.exists()


@pytest.mark.parametrize(
    ("kind", "module", "name"),
    [
        ("ObjectNode", "sklearn.linear_model._logistic", "LogisticRegressionCV"),
        ("ObjectNode", "os", "system"),
        ("FunctionNode", "numpy", "add"),
        ("TypeNode", "sklearn.pipeline", "Pipeline"),
        ("PartialNode", "functools", "partial"),
        ("CachedNode", "builtins", "str"),
        ("NoSuchNode", "builtins", "str"),
    ],
)
def test_a_type_that_is_not_on_our_list_is_named(kind: str, module: str, name: str) -> None:
    extra = {"__class__": name, "__module__": module, "__loader__": kind, "content": None}
    data = with_schema(lambda schema: schema["content"]["content"].update(sneaked=extra))
    with pytest.raises(InvalidError, match=f"{kind} {module}.{name}") as refusal:
        load(data)
    assert refusal.value.reason == "untrusted_type"


def test_a_function_that_a_trainer_put_in_is_refused_at_dump() -> None:
    model = fitted(TREE)
    model.named_steps["columns"].sneaked = np.log1p
    with pytest.raises(InvalidError, match=r"FunctionNode numpy\.log1p") as refusal:
        dump(model, a_manifest())
    assert refusal.value.reason == "untrusted_type"


@pytest.mark.parametrize("protocol", [0, 1, 3, True, "2", None])
def test_a_file_of_another_protocol_is_refused(protocol: object) -> None:
    assert reason_of(with_schema(lambda schema: schema.update(protocol=protocol))) == "malformed"


def test_damaged_files_are_refused() -> None:
    good = a_file()
    for data in (b"", good[:-1], good[: len(good) // 2], b"PK", bytes(100), good[:10] + b"\xff" * 20 + good[30:]):
        assert reason_of(data) == "malformed"


@pytest.mark.parametrize("name", ["../up.npy", "/etc/passwd", "a/0.npy", "x.bin", "..\\0.npy", "\uff11.npy"])
def test_foreign_members_are_refused(name: str) -> None:
    assert reason_of(zipped({**unpack(a_file()), name: b"x"})) == "malformed"


def test_a_member_that_is_there_twice_is_refused() -> None:
    twice = zipped({**unpack(a_file()), "77.npy": b"x"}).replace(b"77.npy", b"0.npy\x00")
    assert reason_of(twice) == "malformed"


def test_bombs_are_refused_before_they_are_unpacked() -> None:
    members = {**unpack(a_file()), "999.npy": bytes(50_000_000)}
    assert reason_of(zipped(members, zipfile.ZIP_DEFLATED)) == "too_large"
    assert reason_of(zipped(unpack(a_file()), zipfile.ZIP_DEFLATED)) in {"malformed", "too_large"}
    deep: bytes = b"[" * 100_000 + b"]" * 100_000
    assert reason_of(zipped({**unpack(a_file()), "schema.json": deep})) == "malformed"


def test_an_array_with_objects_inside_is_not_unpickled(marker: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(1), allow_pickle=False)
    header = buffer.getvalue()[:128].replace(b"'<f8'", b"'|O' ")
    members = unpack(a_file())
    arrays = {name: header + marker_pickle(marker) for name in members if name.endswith(".npy")}
    assert reason_of(zipped({**members, **arrays})) == "malformed"
    assert not marker.exists()


def crafted(estimator: BaseEstimator, field: str, value: int) -> bytes:
    """A model of trained shape in which one index of the first inner node of each tree was changed."""
    members = unpack(a_file(estimator))
    for name in [name for name in members if name.endswith(".npy")]:
        array = np.load(io.BytesIO(members[name]))
        if array.dtype.names and field in array.dtype.names:
            array[field][0] = value
            buffer = io.BytesIO()
            np.save(buffer, array)
            members[name] = buffer.getvalue()
    return zipped(members)


@pytest.mark.parametrize(
    ("estimator", "field", "value"),
    [
        (TREE, "left_child", 10_000),
        (TREE, "right_child", 0),
        (TREE, "feature", 3),
        (TREE, "feature", -5),
        (HISTOGRAM, "left", 10_000),
        (HISTOGRAM, "right", 0),
        (HISTOGRAM, "feature_idx", 3),
        (RandomForestClassifier(2), "left_child", 1 << 40),
        (GradientBoostingClassifier(n_estimators=2), "feature", 1 << 40),
    ],
)
def test_a_tree_that_points_outside_or_in_circles_is_refused(estimator: BaseEstimator, field: str, value: int) -> None:
    assert reason_of(crafted(estimator, field, value)) == "malformed"


# The child


def probed(data: bytes, folder: Path, digest: str = "", timeout: float = 60, **limits: int) -> ProbeResult:
    path = folder / "model.skops"
    path.write_bytes(data)
    sample = {name: list(values)[:5] for name, values in some_columns().items()}
    return probe_in_child(path, digest or sha256(data).hexdigest(), sample, timeout, **limits)


def test_a_child_scores_as_we_do_and_times_each_row(tmp_path: Path) -> None:
    data = a_file()
    result = probed(data, tmp_path)
    here = load(data).score({name: list(values)[:5] for name, values in some_columns().items()})
    assert (result.ok, result.reason) == (True, "")
    assert result.scores == tuple(here.tolist())
    assert len(result.latency_ms) == 5
    assert 0 < result.p50 <= result.p95 <= max(result.latency_ms)


def test_a_child_refuses_another_digest_and_a_symbolic_link(tmp_path: Path) -> None:
    data = a_file()
    assert probed(data, tmp_path, digest="0" * 64).reason == "digest_mismatch"
    link = tmp_path / "link.skops"
    link.symlink_to(tmp_path / "model.skops")
    assert probe_in_child(link, sha256(data).hexdigest(), {}, 60).reason == "bad_uri"
    assert probe_in_child(tmp_path / "none", sha256(data).hexdigest(), {}, 60).reason == "missing"


def test_a_child_that_is_not_ready_in_time_is_killed(tmp_path: Path) -> None:
    assert probed(a_file(), tmp_path, timeout=0.01).reason == "timeout"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_a_child_without_memory_fails_alone(tmp_path: Path) -> None:
    assert probed(a_file(), tmp_path, memory=64 << 20).reason in {"crashed", "malformed", "too_large", "unscorable"}


def test_a_child_can_neither_write_a_file_nor_hide_whether_it_has_a_network(tmp_path: Path) -> None:
    code = (
        "import errno, socket, sys\n"
        "from everloop.models.probe import ProbeRequest, confine\n"
        "alone = confine(ProbeRequest(columns={}))\n"
        "try: open(sys.argv[1], 'wb', buffering=0).write(b'x')\n"
        "except OSError as error: print(errno.errorcode[error.errno])\n"
        "code = socket.socket().connect_ex(('192.0.2.1', 9)) if alone else errno.ENETUNREACH\n"
        "print(errno.errorcode[code])\n"
    )
    env = {"PYTHONPATH": str(Path(everloop.__file__).parents[1])}
    command = [sys.executable, "-c", code, str(tmp_path / "written")]
    said = subprocess.run(command, env=env, capture_output=True, check=True).stdout.split()
    assert said == [b"EFBIG", b"ENETUNREACH"]
