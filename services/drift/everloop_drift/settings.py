"""What drift is told, from a mapping that is passed in, beside what every service is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from everloop.durations import UNITS, RuleError, parse_duration
from everloop.settings import ServiceSettings

LONGEST: Final = timedelta(days=1)


def _period(text: str) -> str:
    try:
        period = parse_duration(text)
    except RuleError:
        raise PydanticCustomError("duration", "is not a duration") from None
    if period > LONGEST or period % UNITS["m"]:
        raise PydanticCustomError("period", "is not a whole number of minutes up to a day")
    return text


class DriftSettings(ServiceSettings):
    """The settings of every service, and the probe's; rules come from loop files, never from the environment."""

    probe: Annotated[str, AfterValidator(_period)] = Field(
        default="1h",
        description="How often the probe drifts, in whole minutes from 1m to 1d, the same for both rooms; 0s: there is "
        "no probe. What is written of it is kept for ever, like a model of six windows in that time",
    )

    @property
    def probe_ms(self) -> int:
        """The period of the probe; 0 where there is none."""
        return round(parse_duration(self.probe) / UNITS["ms"])

    @property
    def jobs(self) -> Path:
        """Folder with one folder per report that is being written."""
        return self.var / "jobs" / f"reports-{self.replica}"
