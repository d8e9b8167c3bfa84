"""What can be wrong with an archive, in one sentence that names the place, the rule and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

RESTORE: Final = "restore the file from a copy of the store; until then no snapshot can use it"
MEND: Final = (
    "restore the record of `everloop.archive.v1` from a copy of the broker; until then these rows are in no snapshot"
)
REPORT: Final = "it is a defect of the writer: keep the topics and the file, and report it with `--json`"
FIXES: Final[Mapping[str, str]] = {
    "gap": MEND,
    "overlap": MEND,
    "rows_missing": MEND,
    "rows_doubled": REPORT,
    "merge": REPORT,
    "removed": RESTORE,
    "missing": RESTORE,
    "digest_mismatch": RESTORE,
    "malformed": RESTORE,
    "too_large": RESTORE,
    "bad_uri": "read it where the store is: EVERLOOP_STORE, or `--var DIR`, names another one",
    "unreadable": "let this user read the store, and look again",
    "rows": REPORT,
    "history_rows": REPORT,
    "schema": REPORT,
    "coverage": REPORT,
}
"""Every rule that can be broken, and what a person does then."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One broken rule: of which model, where its rows came from (offsets inclusive), in which file; what was found."""

    rule: str
    found: str
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    model: str | None = None
    uri: str | None = None

    @property
    def fix(self) -> str:
        """What to do about it."""
        return FIXES[self.rule]

    def __str__(self) -> str:
        """The sentence."""
        who = f"{self.model} " if self.model else ""
        where = f"{who}{self.topic}/{self.partition} offsets {self.first_offset} to {self.last_offset}"
        file = f", file {self.uri}" if self.uri else ""
        return f"{where}{file}: {self.rule}: {self.found}; {self.fix}"
