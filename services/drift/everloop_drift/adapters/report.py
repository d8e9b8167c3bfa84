"""The reporting job: `python -m everloop_drift.adapters.report SPEC RESULT`, SPEC a `ReportSpec` as JSON.

Reads a bounded sample of the window and of its reference, says how far apart they are as a whole, and puts Evidently's
report of their columns into the artifact store. Limited in memory and in time, and last in the queue for a processor.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from pydantic import JsonValue

from everloop.artifacts import Artifact, ArtifactStore
from everloop.errors import InvalidError
from everloop.events import FileRef, ReportSpec
from everloop.jobs import run_child
from everloop_drift.settings import DriftSettings

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ROWS: Final = 2
"""What can be compared at all. How much it says is for the intervals to tell."""
NICE: Final = 10


def report(spec: ReportSpec, store: ArtifactStore) -> dict[str, JsonValue]:
    """Make the report: every field of `ReportWritten` that the job knows. One thread.

    Raises `InvalidError`: what is wrong with the rows.
    """
    import sklearn.ensemble  # noqa: F401, PLC0415 - costs seconds, and loads the libraries that are limited
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    with threadpool_limits(1):
        return _report(spec, store)


def _report(spec: ReportSpec, store: ArtifactStore) -> dict[str, JsonValue]:
    from everloop_drift.adapters.evidently_report import write  # noqa: PLC0415 - as above
    from everloop_drift.domain import multivariate  # noqa: PLC0415 - as above

    began = time.perf_counter()
    reference, current = _samples(spec, store)
    one, two = (_columns(side, reference, current) for side in (reference, current))
    auc = multivariate.domain_auc(one, two, spec.seed)
    energy = multivariate.energy(one, two, spec.seed)
    page = write(reference, current, spec)
    if page is None:
        raise InvalidError("no_column", "no column has values on both sides, so that there is nothing to report")
    return {
        "html": _ref(store.put(page.html, "report")),
        "data": _ref(store.put(page.data, "report")),
        "rows": len(current),
        "reference_rows": len(reference),
        "auc": asdict(auc) if auc else None,
        "energy": asdict(energy) if energy else None,
        "left_out": dict(page.left_out),
        "seconds": round(time.perf_counter() - began, 3),
    }


def _samples(spec: ReportSpec, store: ArtifactStore) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reference and window."""
    from everloop_drift.adapters.sampling import Wanted, sample  # noqa: PLC0415 - as above

    def fetch(file: FileRef) -> bytes:
        return store.fetch(file.uri, file.sha256)

    before, inside = Wanted(spec.reference_start, spec.cut), Wanted(spec.start, spec.end, spec.version)
    reference = sample(spec.reference, fetch, before, spec.features, spec.most_rows)
    current = sample(spec.window, fetch, inside, spec.features, spec.most_rows)
    for side, rows in (("reference", reference), ("window", current)):
        if len(rows) < FEWEST_ROWS:
            raise InvalidError("too_few", f"the {side} has {len(rows)} rows in the archive, {FEWEST_ROWS} are needed")
    return reference, current


def _columns(side: pd.DataFrame, *both: pd.DataFrame) -> dict[str, Any]:
    """Numbers as arrays, texts as lists; what has no value on either side says nothing."""
    named = [str(name) for name in side if any(one[name].notna().any() for one in both)]
    return {name: side[name].to_numpy() if side[name].dtype.kind == "f" else side[name].tolist() for name in named}


def _ref(kept: Artifact) -> dict[str, JsonValue]:
    return {"uri": kept.uri, "sha256": kept.sha256}


def limit(memory_mb: int) -> None:
    """Bound this process: its address space (MiB), and its claim on the processors, where the system can."""
    size = memory_mb << 20
    with suppress(ValueError, OSError):  # macOS knows the limit and does not set it
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    with suppress(OSError):
        os.nice(NICE)


def work(data: bytes) -> dict[str, JsonValue]:
    """Report from a specification as JSON, with the store that the environment names."""
    spec = ReportSpec.model_validate_json(data)
    limit(spec.memory_mb)
    settings = DriftSettings.from_environment(os.environ)
    return report(spec, settings.open_store())


if __name__ == "__main__":
    sys.exit(run_child(work, sys.argv[1:]))
