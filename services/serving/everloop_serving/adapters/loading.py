"""From a verdict to a warm model: fetch by digest, load in a child first, then here, then score once (rule 10)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

import structlog

from everloop.artifacts import ArtifactStore
from everloop.errors import InvalidError, StoreError
from everloop.events import SignedVerdict
from everloop.models import Scorer, load
from everloop.models.probe import probe_in_child

PROBE_S: Final = 60.0
logger = structlog.get_logger()


def load_proven(store: ArtifactStore, verdict: SignedVerdict, *, timeout_s: float = PROBE_S) -> Scorer:
    """Give the warm scorer of a verified verdict; takes seconds.

    Raises `InvalidError`: what the store, the probe and the loader raise, `shape` where the file is about other
    features than the verdict, `unreachable` where the disk fails.
    """
    try:
        return _loaded(store, verdict, timeout_s)
    except InvalidError:
        raise
    except StoreError as error:
        raise InvalidError("unreachable", str(error)) from error
    except OSError as error:
        raise InvalidError("unreachable", f"{verdict.artifact.uri} cannot be read ({error.strerror})") from error
    except Exception as error:  # a foreign estimator may raise anything; the process must outlive it
        raise InvalidError("unscorable", f"warming up failed: {type(error).__name__}") from error


def _loaded(store: ArtifactStore, verdict: SignedVerdict, timeout_s: float) -> Scorer:
    artifact, sample = verdict.artifact, sample_of(verdict.features)
    data = store.fetch(artifact.uri, artifact.sha256)
    with tempfile.TemporaryDirectory() as folder:  # the store may be elsewhere, and the child opens one file alone
        path = Path(folder).resolve() / "model"
        path.write_bytes(data)
        probed = probe_in_child(path, artifact.sha256, sample, timeout_s)
    if not probed.ok:
        raise InvalidError(probed.reason, probed.message)
    scorer = load(data)
    _check(scorer, verdict)
    scorer.score(sample)
    return scorer


def _check(scorer: Scorer, verdict: SignedVerdict) -> None:
    if dict(scorer.manifest.features) != dict(verdict.features) or scorer.manifest.task != verdict.task:
        raise InvalidError("shape", "the model file has other features or another task than its verdict")


def sample_of(features: Mapping[str, str]) -> dict[str, list[object]]:
    """One row to warm up with: zeros, and a category that nobody knows."""
    return {name: [0.0 if kind == "numeric" else ""] for name, kind in features.items()}


class BackgroundLoader:
    """Loads one model at a time in a thread of its own, so that neither requests nor renewals of leases wait."""

    def __init__(self, store: ArtifactStore, *, timeout_s: float = PROBE_S) -> None:
        """`timeout_s`: wall seconds that a child may take."""
        self.store: Final = store
        self.timeout_s: Final = timeout_s
        self._pool: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loading")
        self._running: Final[dict[str, Future[Scorer]]] = {}

    def __call__(self, verdict: SignedVerdict) -> Scorer | None:
        """The scorer when it is warm, None while it is loading. Raises `InvalidError` as `load_proven`."""
        digest = verdict.artifact.sha256
        if digest not in self._running:
            logger.info("loading", model=verdict.model, version=verdict.version)
            self._running[digest] = self._pool.submit(load_proven, self.store, verdict, timeout_s=self.timeout_s)
            return None
        loading = self._running[digest]
        if not loading.done():
            return None
        try:
            return loading.result()
        except InvalidError:
            del self._running[digest]  # a repeat of the plan may try again
            raise

    def keep(self, digests: set[str]) -> None:
        """Forget what was loaded for plans that do not count any more; the server holds what it serves."""
        for digest in [digest for digest, loading in self._running.items() if loading.done() and digest not in digests]:
            del self._running[digest]

    def wait(self) -> None:
        """Until nothing is loading."""
        wait(self._running.values())

    def close(self) -> None:
        """Start nothing more; a child that runs ends by its own limit."""
        self._pool.shutdown(wait=False, cancel_futures=True)
