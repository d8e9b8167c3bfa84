"""The files of `var/bench`: rows by area for whoever compares, details beside them, the machine in a file of its own.

`<area>.json` is a list of rows with exactly the keys of `ROW`. `details/<area>.json` has the same rows with all that is
known of them; the former is made from the latter. `machine.json` describes the machine of the last run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from pydantic import TypeAdapter, ValidationError

from benchmarks.figures import Benchmark, Figure
from everloop.errors import UsageError
from everloop.local.files import write_atomically

FIGURES: Final = TypeAdapter(tuple[Figure, ...])


@dataclass(frozen=True, slots=True)
class Store:
    """One folder of results."""

    root: Path

    def keep(self, figures: Sequence[Figure], failed: Collection[str], known: Sequence[Benchmark]) -> None:
        """Put figures in, by name; the others of an area stay, those that failed and those of nobody go."""
        touched = {_area(name) for name in (*failed, *(one.name for one in figures))}
        for area in sorted(touched):
            names = [benchmark.name for benchmark in known if benchmark.area == area]
            kept = {one.name: one for one in (*self.read(area), *figures) if one.name not in failed}
            self._write(area, [kept[name] for name in names if name in kept])

    def read(self, area: str) -> tuple[Figure, ...]:
        """All figures of an area; none where nothing was measured. Raises `UsageError` for a file of another form."""
        path = self._details(area)
        try:
            return FIGURES.validate_json(path.read_bytes())
        except FileNotFoundError:
            return ()
        except ValidationError as error:
            raise UsageError(f"{path} is not what `make bench` writes: remove it, and measure {area} again") from error

    def describe(self, machine: Mapping[str, object]) -> None:
        """Write what the machine is."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_atomically(self._machine, _json(machine))

    def machine(self) -> Mapping[str, object]:
        """What was written. Raises `UsageError` where nothing was."""
        try:
            found: Mapping[str, object] = orjson.loads(self._machine.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError) as error:
            raise UsageError(f"{self._machine} does not say on which machine: run `make bench` first") from error
        return found

    def _write(self, area: str, figures: Sequence[Figure]) -> None:
        details = self._details(area)
        details.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(details, _json([one.model_dump(mode="json") for one in figures]))
        write_atomically(self.root / f"{area}.json", _json([one.row for one in figures]))

    def _details(self, area: str) -> Path:
        return self.root / "details" / f"{area}.json"

    @property
    def _machine(self) -> Path:
        return self.root / "machine.json"


def _area(name: str) -> str:
    return name.partition(".")[0]


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
