"""A model is loaded and timed in a child process first: what kills or hangs the loader kills and hangs only the child.

`python -m everloop.models.probe FILE SHA256` reads `{"columns": {...}, "memory": bytes, "cpu": seconds}` on standard
input and writes one `ProbeResult` as JSON. The child has no environment of ours, may write no byte to a file, has
memory and processor limits and, where the machine allows it, no network.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import everloop
from everloop.artifacts import FolderStore
from everloop.errors import InvalidError
from everloop.models.archive import LARGEST
from everloop.models.files import load
from everloop.models.scorer import Scorer

MEMORY: Final = 4 << 30
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_FILES: Final = 256
# One thread: a request is scored by one thread too, and threads reserve address space.
_THREADS: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class ProbeRequest(BaseModel):
    """What the parent asks: sample rows as columns, limits in bytes and processor seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    columns: dict[str, list[str | int | float | bool | None]]
    memory: int = Field(default=MEMORY, gt=0)
    cpu: int = Field(default=60, gt=0)


class ProbeResult(BaseModel):
    """What a child found. `reason` is set where it is not ok: a code of `InvalidError`, `timeout` or `crashed`.

    `seconds_load` (wall, with the import of the libraries), milliseconds per single-row call after one warm-up call,
    their median and 95th percentile, the score per sample row; `network`: could the child have reached it?
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    ok: bool
    reason: str = ""
    message: str = ""
    network: bool = True
    seconds_load: float = 0.0
    latency_ms: tuple[float, ...] = ()
    p50: float = 0.0
    p95: float = 0.0
    scores: tuple[float, ...] = ()


def probe_in_child(
    path: Path, digest: str, sample: Mapping[str, Sequence[object]], timeout: float, *, memory: int = MEMORY
) -> ProbeResult:
    """Load a file in a child and score the sample there; `timeout` in wall seconds. A bad model is no error."""
    columns = {name: list(values) for name, values in sample.items()}
    request = {"columns": columns, "memory": memory, "cpu": int(timeout) + 1}
    child = subprocess.Popen(
        [sys.executable, "-P", "-s", "-B", "-m", __name__, str(path.absolute()), digest],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd="/", env=_environment(), start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = child.communicate(orjson.dumps(request, option=orjson.OPT_SERIALIZE_NUMPY), timeout=timeout)
    except subprocess.TimeoutExpired:
        return ProbeResult(ok=False, reason="timeout", message=f"the model was not ready and timed within {timeout} s")
    finally:
        _end(child)
    return _understood(said, child.returncode)


def _environment() -> dict[str, str]:
    """Nothing of ours but where our package lies."""
    return {"PYTHONPATH": str(Path(everloop.__file__).parents[1]), "LC_ALL": "C.UTF-8", **_THREADS}


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child's whole session where it has not ended; only then is its number still surely its own."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def _understood(said: bytes, code: int) -> ProbeResult:
    try:
        return ProbeResult.model_validate_json(said)
    except ValidationError:
        return ProbeResult(ok=False, reason="crashed", message=f"the child ended with code {code} and said no result")


def probe(path: Path, digest: str, request: ProbeRequest) -> ProbeResult:
    """Do the child's work in this process: verify, load, score."""
    began = time.perf_counter()
    try:
        whole = path.parent.resolve() / path.name
        scorer = load(FolderStore(whole.parent, largest=LARGEST).fetch(whole.as_uri(), digest))
        took = time.perf_counter() - began
        return _timed(scorer, request.columns, took)
    except InvalidError as error:
        return ProbeResult(ok=False, reason=error.reason, message=str(error))
    except MemoryError:
        return ProbeResult(ok=False, reason="too_large", message=f"the model needs more than {request.memory} bytes")
    except Exception as error:  # noqa: BLE001 - whatever a foreign estimator raises, the model cannot score
        return ProbeResult(ok=False, reason="unscorable", message=f"scoring the sample failed: {type(error).__name__}")


def _timed(scorer: Scorer, columns: Mapping[str, Sequence[object]], seconds_load: float) -> ProbeResult:
    """Score all rows at once (which also warms up), then each alone."""
    scores = scorer.score(columns)
    rows = [{name: [values[row]] for name, values in columns.items()} for row in range(len(scores))]
    latencies = [_milliseconds(scorer, row) for row in rows]
    p50, p95 = np.percentile(latencies or [0.0], [50, 95])
    if not np.isfinite(scores).all():
        return ProbeResult(ok=False, reason="unscorable", message="some scores of the sample are no finite numbers")
    return ProbeResult(
        ok=True, seconds_load=seconds_load, latency_ms=tuple(latencies), p50=p50, p95=p95, scores=tuple(scores.tolist())
    )


def _milliseconds(scorer: Scorer, row: Mapping[str, Sequence[object]]) -> float:
    began = time.perf_counter()
    scorer.score(row)
    return (time.perf_counter() - began) * 1000


def confine(request: ProbeRequest) -> bool:
    """Take from this process what a loader does not need, for good. Say whether the network is gone."""
    limits = {
        resource.RLIMIT_AS: request.memory,
        resource.RLIMIT_CPU: request.cpu,
        resource.RLIMIT_FSIZE: 0,  # not one byte into any file; pipes are not files
        resource.RLIMIT_NOFILE: _FILES,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        # Not every system has every limit (macOS refuses RLIMIT_AS); the digest and the list hold without.
        with suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0)


def main() -> None:
    """Run as the child. Only the result goes to standard output, whatever a library prints."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    request = ProbeRequest.model_validate_json(sys.stdin.buffer.read())
    alone = confine(request)
    result = probe(Path(sys.argv[1]), sys.argv[2], request)
    answer.write(result.model_copy(update={"network": not alone}).model_dump_json().encode())
    answer.close()


if __name__ == "__main__":
    main()
