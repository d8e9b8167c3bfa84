"""The broker's jars: exactly those of `jars.lock`, fetched by jgo, verified by SHA-256 before every start.

jgo only warns on a wrong checksum and writes to the final path, so an interrupted download would stay as if it were
good. So it downloads into a scratch directory, and a jar moves into the cache only after its own digest was right.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from everloop.errors import UsageError
from everloop.local.paths import explain, require_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LOCK_FILE = Path(__file__).with_name("jars.lock")
PARALLEL = 6
TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of `jars.lock`."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """Name in the class path's directory."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinate(self) -> str:
        """How a person and a repository name it."""
        return f"{self.group}:{self.artifact}:{self.version}"


def parse_lock(text: str) -> tuple[Jar, ...]:
    """Read the lines of a lock file; `#` starts a comment. Raises `ValueError` on a malformed line."""
    return tuple(parse_line(line) for line in text.splitlines() if line.strip() and not line.startswith("#"))


def parse_line(line: str) -> Jar:
    """Read `group:artifact:version size sha256`. Raises `ValueError` on another form."""
    coordinate, size, digest = line.split()
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, int(size), digest)


def locked_jars() -> tuple[Jar, ...]:
    """All jars that the broker needs."""
    return parse_lock(LOCK_FILE.read_text("utf-8"))


def libraries(cache: Path) -> Path:
    """Directory of one exact set of jars: another lock gets another directory."""
    return cache / "jars" / hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:12]


def is_good(path: Path, jar: Jar) -> bool:
    """Is the file there, of the right size, and of the right SHA-256?"""
    if not path.is_file() or path.stat().st_size != jar.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256


def bad_jars(directory: Path, jars: Sequence[Jar]) -> list[Jar]:
    """Which of `jars` are missing or damaged in `directory`."""
    return [jar for jar in jars if not is_good(directory / jar.filename, jar)]


def ensure_jars(cache: Path, report: Callable[[int, int, str], None] | None = None) -> Path:
    """Return the directory with all jars verified, fetching what is missing or damaged.

    `report(done, total, name)` is told of each jar fetched. Raises `UsageError` without a network, on a full disk, and
    when a jar is wrong twice in a row.
    """
    directory, jars = libraries(cache), locked_jars()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(cache / "jars" / "lock"):
            if missing := bad_jars(directory, jars):
                require_space(cache)
                fetch_all(missing, directory, report or (lambda *_: None))
    except OSError as error:
        raise UsageError(explain(error, directory)) from error
    return directory


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, so that two sessions do not fetch into the same place."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fetch_all(jars: Sequence[Jar], directory: Path, report: Callable[[int, int, str], None]) -> None:
    """Fetch some at a time; the first failure ends it."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        tasks = {pool.submit(fetch, jar, directory): jar for jar in jars}
        try:
            for done, task in enumerate(as_completed(tasks), 1):
                task.result()
                report(done, len(jars), tasks[task].filename)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def fetch(jar: Jar, directory: Path, download: Callable[[Jar, Path], Path] | None = None) -> None:
    """Bring one jar into `directory`: download beside it, verify, rename. A wrong one is fetched once more."""
    for _ in range(2):
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory) as scratch:
            path = (download or download_with_jgo)(jar, Path(scratch))
            if is_good(path, jar):
                os.replace(path, directory / jar.filename)  # noqa: PTH105 - atomic on one disk, and says so
                return
    message = (
        f"{jar.coordinate} was downloaded twice and its SHA-256 is not {jar.sha256[:12]}… of jars.lock: "
        "a proxy may be changing downloads; try another network, or put a good copy into "
        f"{directory}"
    )
    raise UsageError(message)


def download_with_jgo(jar: Jar, scratch: Path) -> Path:
    """Download one artifact, without its dependencies, into `scratch`. Raises `UsageError` without a network."""
    from jgo.maven import MavenContext, PythonResolver
    from requests import RequestException

    logging.getLogger("jgo").setLevel(logging.ERROR)  # its warning on a checksum is our refusal, one line further on
    context = MavenContext(resolver=PythonResolver(), repo_cache=scratch, timeout=TIMEOUT_SECONDS)
    try:
        return context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except (RequestException, RuntimeError) as error:
        message = (
            f"cannot download {jar.coordinate} ({type(error).__name__}): `everloop up` needs the network once to fetch "
            "Kafka; check the connection (HTTPS_PROXY is respected), or use a Kafka that exists with --broker HOST:PORT"
        )
        raise UsageError(message) from error
