"""Importing a module does no work: no thread, no socket, no child process, no signal handler, no file."""

from __future__ import annotations

import subprocess
import sys
from importlib import util
from pathlib import Path

import orjson
import pytest

from everloop.topics import ALL

PACKAGES = ["everloop", *(f"everloop_{name}" for name in ALL)]
PROBE = """
import json, os, pkgutil, signal, sys, threading
from importlib import import_module

import psutil

sys.dont_write_bytecode = True
me = psutil.Process()


def state():
    return {
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "sockets": len(me.net_connections(kind="all")),
        "children": len(me.children(recursive=True)),
        "handlers": {number: str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)},
        "files": sorted(os.listdir(".")),
        "ours": sorted(name for name in os.environ if name.startswith("EVERLOOP_")),
    }


before = state()
package = import_module(sys.argv[1])
failed = []
names = [one.name for one in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=failed.append)]
for name in names:
    if not name.endswith("__main__"):
        import_module(name)
print(json.dumps({"before": before, "after": state(), "modules": len(names), "failed": failed}))
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_every_module_starts_nothing(package: str, tmp_path: Path) -> None:
    assert util.find_spec(package)
    found = subprocess.run(
        [sys.executable, "-c", PROBE, package], cwd=tmp_path, capture_output=True, check=False, timeout=120
    )
    assert found.returncode == 0, found.stderr.decode()
    said = orjson.loads(found.stdout.splitlines()[-1])
    assert said["modules"] > 3
    assert said["failed"] == []
    assert said["after"] == said["before"]
