"""From files of the archive to a page, data, and two numbers: the same rows each time, within limits."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Signal
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from everloop import events as e
from everloop.artifacts import ArtifactStore, FolderStore, MemoryStore
from everloop.errors import InvalidError
from everloop.rows.values import rows_of
from everloop_drift.adapters import child_jobs
from everloop_drift.adapters.report import limit
from everloop_drift.adapters.sampling import Wanted, sample
from everloop_drift.settings import DriftSettings
from everloop_ingest.adapters.parquet import to_parquet
from everloop_ingest.domain.archiving import Batch, prediction_columns
from tests.builders import NOON

FEATURES = {"amount": "numeric", "balance": "numeric", "country": "categorical", "empty": "numeric", "wild": "numeric"}
HOSTILE = "</script><script>alert()"
HOUR_MS = 3_600_000


@dataclass
class Archive:
    """Files as ingest writes them, in a store."""

    store: ArtifactStore = field(default_factory=MemoryStore)

    def keep(
        self, first: int, rows: int, start: int, *, version: str | None = None, **features: Iterable[Any]
    ) -> e.FileRef:
        """Rows `first` and on, one per second from `start` (ms)."""
        made = {name: tuple(values) for name, values in features.items()}
        ids = tuple(f"{first + row:06d}" for row in range(rows))
        event = e.PredictionsLogged.named(
            f"{first}", NOON, "fraud", version=version, prediction_id=ids,
            times=tuple(start + row * 1000 for row in range(rows)), features=made,
        )  # fmt: skip
        return self.put(event)

    def put(self, event: e.PredictionsLogged) -> e.FileRef:
        batch = Batch(0)
        batch.add(0, rows_of(event))
        kept = self.store.put(to_parquet(prediction_columns(batch)), "archive")
        return e.FileRef(uri=kept.uri, sha256=kept.sha256)

    def fetch(self, file: e.FileRef) -> bytes:
        return self.store.fetch(file.uri, file.sha256)

    def sample(self, files: list[e.FileRef], wanted: Wanted, most: int = 5000) -> pd.DataFrame:
        return sample(files, self.fetch, wanted, {"amount": "numeric", "country": "categorical"}, most)


def test_a_sample_is_the_rows_with_the_smallest_hashes_wherever_they_lie() -> None:
    archive, amount = Archive(), np.arange(300.0)
    whole = archive.keep(0, 300, 0, amount=amount)
    parts = [archive.keep(150, 150, 150_000, amount=amount[150:]), archive.keep(0, 150, 0, amount=amount[:150])]
    every = archive.sample([whole], Wanted(0, 300_000))
    few = archive.sample(parts, Wanted(0, 300_000), most=40)
    assert sorted(every["amount"]) == amount.tolist()
    assert few["amount"].tolist() == every["amount"].head(40).tolist()
    assert few["amount"].mean() == pytest.approx(150, abs=3 * 300 / np.sqrt(12 * 40))  # no piece of the hour


def test_a_sample_has_only_rows_that_are_wanted() -> None:
    archive = Archive()
    files = [
        archive.keep(0, 10, 0, version="1", amount=range(10)), archive.keep(10, 10, 0, version="2", amount=range(10)),
        archive.keep(20, 10, 0, amount=range(10)), archive.keep(0, 10, 0, version="1", amount=range(10)),
    ]  # fmt: skip
    assert sorted(archive.sample(files, Wanted(2000, 8000, "1"))["amount"]) == [2, 3, 4, 5, 6, 7]
    assert len(archive.sample(files, Wanted(0, 10_000))) == 30  # each id once


def test_rows_of_a_candidate_are_not_the_champions() -> None:
    archive = Archive()
    event = e.PredictionsLogged.named(
        "a", NOON, "fraud", version="1", arm="candidate", prediction_id=("a",), times=(0,), features={"amount": (1.0,)}
    )
    champion = event.model_copy(update={"arm": "champion", "prediction_id": ("b",), "features": {"amount": (2.0,)}})
    found = archive.sample([archive.put(event), archive.put(champion)], Wanted(0, 1, "1"))
    assert found["amount"].tolist() == [2.0]


def test_columns_are_as_their_kind_wants_them() -> None:
    archive = Archive()
    files = [
        archive.keep(0, 2, 0, amount=[1.5, None], country=[1, 2]),
        archive.keep(2, 2, 0, amount=["x", "2"], country=["1", None]),
    ]
    found = archive.sample(files, Wanted(0, 9000))
    assert found["amount"].dropna().tolist() == [1.5]
    assert sorted(found["country"].dropna()) == ["1", "1", "2"]
    without = archive.sample([archive.keep(0, 2, 0, other=[1, 2])], Wanted(0, 9000))
    assert without.isna().all(axis=None)
    assert archive.sample([], Wanted(0, 1)).empty


def test_a_file_that_is_none_is_refused() -> None:
    archive = Archive()
    kept = archive.store.put(b"no parquet", "archive")
    with pytest.raises(InvalidError, match="cannot be read"):
        archive.sample([e.FileRef(uri=kept.uri, sha256=kept.sha256)], Wanted(0, 1))


def a_spec(archive: Archive, rows: int = 400) -> e.ReportSpec:
    """The reference has independent columns; in the window `balance` follows `amount`, and a country has come."""
    chance = np.random.default_rng(1)
    sides = []
    for first, start, version, correlation, countries in (
        (0, 0, None, 0.0, ["a"]),
        (rows, HOUR_MS, "7", 0.9, ["a", HOSTILE]),
    ):
        amount, other = chance.normal(size=(2, rows))
        balance = correlation * amount + np.sqrt(1 - correlation**2) * other
        country = [str(one) for one in chance.choice(countries, rows)]
        found = {"amount": amount, "balance": balance, "country": country, "wild": other * 5e307}
        sides.append(archive.keep(first, rows, start, version=version, **found))
    return e.ReportSpec(
        version="7", start=HOUR_MS, end=2 * HOUR_MS, reference_start=0, cut=HOUR_MS, window=(sides[1],),
        reference=(sides[0],), features=FEATURES, default=e.ColumnTest(test="psi", limit=0.2),
        columns={"amount": e.ColumnTest(test="ks", limit=0.01)}, share=0.3, most_rows=300, seed=5, memory_mb=4096,
        timeout_s=120,
    )  # fmt: skip


def test_the_child_writes_the_report_of_a_window(tmp_path: Path) -> None:
    settings = DriftSettings(var=tmp_path)
    store = FolderStore(settings.artifacts)
    spec, jobs = a_spec(Archive(store)), child_jobs(settings)
    jobs.start("one", "ReportStarted", spec.model_dump_json().encode(), spec.timeout_s)
    while not (ended := jobs.finished()):
        Signal().wait(0.02)
    (end,) = ended
    assert (end.ok, end.error) == (True, ""), (settings.jobs / "one" / "log").read_text()
    said = {"judged": "6f8a2f0e-6c0b-5f0d-9d57-3a5f6e1f7c11", "start": 0, "end": 1, "version": "7", "episode": "opened"}
    envelope = {"id": said["judged"], "time": NOON, "model": "fraud"}
    written = e.ReportWritten.model_validate({**end.result, **said, **envelope})
    assert (written.rows, written.reference_rows) == (300, 300)
    assert written.left_out == {
        "empty": "fewer than 2 values in the reference", "wild": "Evidently raised ValueError",
    }  # fmt: skip
    assert written.auc is not None
    assert written.energy is not None
    assert written.auc.lower > 0.5
    assert written.energy.p_value <= 0.05
    page = store.fetch(written.html.uri, written.html.sha256).decode()
    assert not re.search(r"<(?:script|link|img)[^>]*(?:src|href)=.https?:", page)  # nothing is loaded from elsewhere
    assert "[/script][script]alert()" in page
    assert HOSTILE not in page
    data = orjson.loads(store.fetch(written.data.uri, written.data.sha256))
    drift = {one["config"]["column"]: one["config"] for one in data["metrics"] if "ValueDrift" in one["metric_name"]}
    assert {name: (one["method"], one["threshold"]) for name, one in drift.items()} == {
        "amount": ("ks", 0.01), "balance": ("psi", 0.2), "country": ("psi", 0.2),
    }  # fmt: skip


def test_the_child_is_limited_in_memory_and_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    monkeypatch.setattr(resource, "setrlimit", lambda *asked: said.append(asked))
    monkeypatch.setattr("os.nice", said.append)
    limit(512)
    assert said == [(resource.RLIMIT_AS, (512 << 20, 512 << 20)), 10]


TOO_MUCH = """
from everloop_drift.adapters.report import limit
limit(2048)
bytearray(3 << 30)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know the limit and do not hold it")
def test_what_needs_more_memory_than_it_may_has_none() -> None:
    done = subprocess.run([sys.executable, "-c", TOO_MUCH], capture_output=True, check=False)
    assert b"MemoryError" in done.stderr
