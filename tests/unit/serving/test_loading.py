"""Only proven bytes become a scorer: digest, child process, features of the verdict. The loop outlives its broker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from everloop import events as e
from everloop.artifacts import FolderStore, path_of
from everloop.errors import FatalError, InvalidError, UsageError
from everloop.models import Kind, ModelManifest, Scorer, dump, frame, pipeline
from everloop.runtime.memory import Effect, Moment
from everloop_serving.adapters.loading import BackgroundLoader, load_proven, sample_of
from everloop_serving.app import BACK_OFF_S, Obeying
from everloop_serving.settings import ServingSettings
from tests.unit.serving.builders import Stand, a_plan, a_verdict

FEATURES: dict[str, Kind] = {"amount": "numeric", "country": "categorical"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    return FolderStore(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def verdict(store: FolderStore) -> e.SignedVerdict:
    random = np.random.default_rng(1)
    columns = {"amount": random.normal(size=60).tolist(), "country": ["nl", "de", "fr"] * 20}
    classifier = HistGradientBoostingClassifier(max_iter=2, random_state=0)
    estimator = pipeline(classifier, FEATURES).fit(frame(columns, FEATURES), [0, 1] * 30)
    kept = store.put(dump(estimator, ModelManifest(features=FEATURES, task="binary", classes=("0", "1"))), "model")
    artifact = e.FileRef(uri=kept.uri, sha256=kept.sha256)
    return a_verdict("1").model_copy(update={"artifact": artifact, "features": FEATURES})


def test_the_bytes_of_a_verdict_become_a_scorer(store: FolderStore, verdict: e.SignedVerdict) -> None:
    scorer = load_proven(store, verdict)
    assert scorer.manifest.features == FEATURES
    assert scorer.score(sample_of(FEATURES)).shape == (1,)


def test_a_file_about_other_features_than_its_verdict_is_refused(store: FolderStore, verdict: e.SignedVerdict) -> None:
    other = verdict.model_copy(update={"features": {"amount": "numeric"}})
    with pytest.raises(InvalidError) as refused:
        load_proven(store, other)
    assert refused.value.reason in {"shape", "unscorable"}


def test_swapped_bytes_never_reach_the_loader(store: FolderStore, verdict: e.SignedVerdict) -> None:
    swapped = store.put(b"something else", "model")
    artifact = verdict.artifact.model_copy(update={"uri": swapped.uri})
    with pytest.raises(InvalidError) as refused:
        load_proven(store, verdict.model_copy(update={"artifact": artifact}))
    assert refused.value.reason == "digest_mismatch"


def test_what_kills_the_loader_kills_only_the_child(store: FolderStore, verdict: e.SignedVerdict) -> None:
    kept = store.put(b"no model at all", "model")
    artifact = e.FileRef(uri=kept.uri, sha256=kept.sha256)
    with pytest.raises(InvalidError) as refused:
        load_proven(store, verdict.model_copy(update={"artifact": artifact}))
    assert refused.value.reason == "malformed"


def test_the_background_loader_gives_nothing_until_the_model_is_warm(
    store: FolderStore, verdict: e.SignedVerdict
) -> None:
    loader = BackgroundLoader(store)
    assert loader(verdict) is None
    loader.wait()
    found = loader(verdict)
    assert isinstance(found, Scorer)
    loader.keep({verdict.artifact.sha256})
    assert loader(verdict) is found
    loader.close()


def test_an_artifact_that_comes_later_is_loaded_then(
    store: FolderStore, verdict: e.SignedVerdict, tmp_path: Path
) -> None:
    loader = BackgroundLoader(FolderStore(tmp_path / "empty", readable=[path_of(verdict.artifact.uri).parent]))
    away = a_verdict("2").model_copy(update={"artifact": e.FileRef(uri=f"file://{tmp_path}/empty/x", sha256="0" * 64)})
    loader(away)
    loader.wait()
    with pytest.raises(InvalidError) as refused:
        loader(away)
    assert refused.value.reason == "missing"
    assert loader(away) is None  # it is tried again
    loader.close()


def test_without_its_broker_the_loop_goes_on_and_reads_all_again(store: FolderStore) -> None:
    stand, slept = Stand(), list[float]()
    obeying = Obeying(stand.server, BackgroundLoader(store), slept.append)
    stand.say(a_plan(1))
    assert obeying.step()
    client = stand.broker.client(no_commit)
    stand.server.broadcast.log = client
    stand.say(a_plan(2, champion="2"))
    assert not obeying.step(0.05)
    assert slept == [BACK_OFF_S]
    stand.server.broadcast.log = stand.broker.client()
    assert obeying.step()
    assert (stand.epoch(), stand.lag()) == (2, 0)
    assert not obeying.step(0.05)
    assert slept == [BACK_OFF_S, 0.05]
    obeying.close()


def test_serving_without_a_public_key_is_refused_with_the_fix() -> None:
    with pytest.raises(UsageError, match="EVERLOOP_PUBLIC_KEY is not set"):
        ServingSettings().load_key()


def no_commit(effect: Effect, moment: Moment, detail: str) -> None:
    """The broker is gone when progress is to be committed."""
    if effect == "commit":
        raise FatalError("gone")
