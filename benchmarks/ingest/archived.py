"""An archive of labelled traffic as ingest writes it, from a fixed seed: files of 50,000 rows with their manifests.

20 features, 15 numbers and 5 texts. 95 of 100 predictions have a label, within the hour after them; 5 of 100 are
corrected another hour later. Rows come nearly in order of time: up to five seconds late. One of a thousand predictions
was sent twice, with other features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from everloop.artifacts import ArtifactStore
from everloop.events import Coverage, ManifestCommitted
from everloop.matrix.ports import FEATURE
from everloop.topics import OUTCOMES, PREDICTIONS

MODEL: Final = "bench"
ROWS_PER_FILE: Final = 50_000
EVERY_MS: Final = 300_000
BEGIN_MS: Final = 1_767_600_000_000
STEP_MS: Final = 20
LATE_MS: Final = 5_000
HOUR_MS: Final = 3_600_000
TEXTS: Final[Mapping[str, int]] = {"country": 40, "device": 12, "channel": 5, "plan": 8, "merchant": 3_000}
Columns = Mapping[str, pa.Array]


def written(store: ArtifactStore, rows: int) -> Iterator[ManifestCommitted]:
    """Write the files of so many predictions; the manifest of each, in the order of the log."""
    for number in range(rows // ROWS_PER_FILE):
        generator = np.random.default_rng(number)
        predictions = _predictions(generator, number)
        yield _kept(store, "predictions", number, predictions)
        yield _kept(store, "outcomes", number, _outcomes(generator, predictions))


def known_until(rows: int) -> int:
    """A moment (ms) shortly after the last prediction: of the last hour not all labels are known."""
    return BEGIN_MS + rows * STEP_MS + LATE_MS


def _predictions(generator: np.random.Generator, number: int) -> Columns:
    places = np.arange(ROWS_PER_FILE) + number * ROWS_PER_FILE
    again = generator.random(ROWS_PER_FILE) < 0.001  # noqa: PLR2004 - the share that was sent twice
    times = BEGIN_MS + places * STEP_MS + generator.integers(0, LATE_MS, ROWS_PER_FILE)
    numbers = {f"{FEATURE}n{place:02}": pa.array(values) for place, values in enumerate(_numbers(generator))}
    texts = {FEATURE + name: _texts(generator, name, count) for name, count in TEXTS.items()}
    return {
        "prediction_id": pa.array([f"tx-{place:012}" for place in np.maximum(places - again, 0).tolist()]),
        "time": pa.array(times, pa.int64()),
        "entity_id": _texts(generator, "card", 200_000),
        "source": pa.array(["producer"] * ROWS_PER_FILE),
        "version": pa.array([str(number // 20 + 1)] * ROWS_PER_FILE),
        "arm": pa.array(["champion"] * ROWS_PER_FILE),
        "score": pa.array(generator.random(ROWS_PER_FILE)),
        **numbers,
        **texts,
    }


def _numbers(generator: np.random.Generator) -> Iterator[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Five measurements with all digits, five amounts to the cent, five counts."""
    for _ in range(5):
        yield generator.normal(size=ROWS_PER_FILE)
        yield generator.lognormal(3, 1, ROWS_PER_FILE).round(2)
        yield generator.poisson(4, ROWS_PER_FILE).astype(np.float64)


def _texts(generator: np.random.Generator, name: str, count: int) -> pa.Array:
    known = pa.array([f"{name}-{place}" for place in range(count)])
    return known.take(pa.array(generator.integers(0, count, ROWS_PER_FILE)))


def _outcomes(generator: np.random.Generator, predictions: Columns) -> Columns:
    labelled = np.flatnonzero(generator.random(ROWS_PER_FILE) < 0.95)  # noqa: PLR2004 - as the module says
    corrected = labelled[generator.random(len(labelled)) < 0.05]  # noqa: PLR2004 - as the module says
    rows = np.concatenate([labelled, corrected])
    times = predictions["time"].to_numpy()[rows]
    late = np.concatenate([np.zeros(len(labelled), int), np.full(len(corrected), HOUR_MS)])
    return {
        "prediction_id": predictions["prediction_id"].take(pa.array(rows)),
        "time": pa.array(times),
        "label": pa.array(generator.integers(0, 2, len(rows)).astype(np.float64)),
        "labelled_at": pa.array(times + late + generator.integers(0, HOUR_MS, len(rows))),
        "version": predictions["version"].take(pa.array(rows)),
        "score": predictions["score"].take(pa.array(rows)),
        "source": predictions["source"].take(pa.array(rows)),
    }


def _kept(
    store: ArtifactStore, kind: Literal["predictions", "outcomes"], number: int, columns: Columns
) -> ManifestCommitted:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(columns)), out, compression="zstd", version="2.6", store_schema=False)
    kept = store.put(out.getvalue().to_pybytes(), "archive")
    times = columns["time"].to_numpy()
    slices = Counter((times - times % EVERY_MS).tolist())
    topic = PREDICTIONS if kind == "predictions" else OUTCOMES
    watermark = int(times.max())
    return ManifestCommitted.named(
        f"{kind}/{number}", datetime.fromtimestamp(watermark / 1000, UTC), MODEL, kind=kind, topic=topic.name,
        partition=0, first_offset=number, last_offset=number, uri=kept.uri, sha256=kept.sha256, rows=len(times),
        history_rows=0, watermark=watermark,
        coverage=tuple(Coverage(start=start, rows=rows) for start, rows in sorted(slices.items())),
    )  # fmt: skip
