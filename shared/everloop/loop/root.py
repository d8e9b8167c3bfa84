"""The loop file as a value: all rules of one model."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Literal, Self

import orjson
from pydantic import Field, JsonValue, StringConstraints, ValidationError, ValidationInfo, field_validator

from everloop.durations import RuleError
from everloop.errors import InvalidError
from everloop.loop.deciding import Gate, Keep, Owner, Rollout
from everloop.loop.feedback import Feedbacks, check_names
from everloop.loop.metrics import METRICS, Metric, Task, primary
from everloop.loop.training import Train
from everloop.loop.types import FROM_FILE, Name, Part, standard
from everloop.loop.watching import Archive, Columns, Door, Drift, FeatureKind, Labels, Windows
from everloop.names import PROBE

MODEL = r"^[A-Za-z0-9._-]{1,128}$"


class Loop(Part):
    """Everything that is decided about one model is decided by these rules."""

    kind: Literal["Loop"] = Field(description="What this file is: Loop.")
    version: Literal[1] = Field(description="Version of this notation: 1.")
    model: Annotated[str, StringConstraints(pattern=MODEL)] = Field(
        description="Name of the model, the key of all its events: 1 to 128 letters, digits, dots, dashes, underscores."
    )
    task: Task = Field(description="What the model predicts: one of two classes, one of many, or a number.")
    columns: Columns = Field(description="Which columns of the data play which part.")
    features: Annotated[Mapping[Name, FeatureKind], Field(min_length=1, max_length=10_000)] | None = Field(
        default=None, description="Name and kind of each feature. Default: inferred at bootstrap, then frozen."
    )
    door: Door = standard({}, description="What the front door makes of rows that the model was not made for.")
    windows: Windows = standard({}, description="How the stream is cut into windows of event time.")
    labels: Labels = standard({}, description="When what really happened becomes known.")
    feedback: Feedbacks | None = Field(
        default=None,
        description="Numbers that predictions bring beside their labels (clicks, revenue), by name, at most 16. They "
        "are shown per arm, and neither train nor decide. Default: none.",
    )
    archive: Archive = standard({}, description="How long rows are kept.")
    drift: Drift = standard({}, description="When the world has moved.")
    train: Train = standard({}, description="When a successor is trained, on which rows, at what cost.")
    gate: Gate = standard({}, description="What a version must pass before it may take traffic.")
    rollout: Rollout = standard({}, description="How a version takes over.")
    owner: Owner = standard({}, description="Who hears of it.")

    @field_validator("model")
    @classmethod
    def _is_free(cls, model: str, info: ValidationInfo) -> str:
        """A person's model is not taken for the probe, whose rules are part of drift and in no file."""
        if model == PROBE and info.context == FROM_FILE:
            raise RuleError(rule="is the name of Everloop's own probe", fix="give the model another name")
        return model

    @field_validator("features")
    @classmethod
    def _no_leak(cls, features: object, info: ValidationInfo) -> object:
        columns = info.data.get("columns")
        if columns and isinstance(features, dict):
            for name in (columns.label, columns.id, columns.time):
                if name in features:
                    raise RuleError(rule="is no feature", fix="leave the id, time and label columns out", at=(name,))
        return features

    @field_validator("windows")
    @classmethod
    def _segments_of_rows(cls, windows: Windows, info: ValidationInfo) -> Windows:
        columns = info.data.get("columns")
        for place, name in enumerate(windows.segments.columns if windows.segments else ()):
            if columns and name in (columns.label, columns.id, columns.time):
                raise RuleError(
                    rule="has no segments", fix="leave the id, time and label columns out",
                    at=("segments", "columns", place),
                )  # fmt: skip
        return windows

    @field_validator("feedback")
    @classmethod
    def _named_well(cls, feedback: Feedbacks | None) -> Feedbacks | None:
        check_names(feedback)
        return feedback

    @field_validator("train")
    @classmethod
    def _learns_from_what_is_kept(cls, train: Train, info: ValidationInfo) -> Train:
        archive, rolling = info.data.get("archive"), train.data.rolling
        if archive and archive.keep and rolling and rolling > archive.keep:
            raise RuleError(
                rule="is longer than archive.keep, and such rows have expired",
                fix="raise archive.keep, or let training look back less far", at=("data", "rolling"),
            )  # fmt: skip
        return train

    @field_validator("gate")
    @classmethod
    def _suits_task(cls, gate: Gate, info: ValidationInfo) -> Gate:
        suited = METRICS.get(info.data.get("task", ""))
        for key, named in (("floor", gate.floor), ("champion", gate.champion)):
            for name in named:
                if suited and name not in suited:
                    raise RuleError(
                        rule="does not suit the task", fix=f"write one of {', '.join(suited)}", at=(key, name, "[key]")
                    )
        return gate

    @property
    def primary_metric(self) -> Metric:
        """The metric that stands for the worth of this model."""
        return primary(self.task)

    @property
    def non_inferiority(self) -> Mapping[Metric, float]:
        """Share of the champion's worth to keep, by metric; the primary metric at 99 % where the file names none."""
        rules = self.gate.champion or {self.primary_metric: Keep()}
        return {name: rule.at_least for name, rule in rules.items()}

    def to_payload(self) -> dict[str, JsonValue]:
        """All keys with their values, defaults written out, as they would stand in a file; unset keys are left out."""
        return self.model_dump(mode="json", exclude_none=True)

    @classmethod
    def from_payload(cls, payload: Mapping[str, JsonValue]) -> Self:
        """Read what `to_payload` wrote. Raises `InvalidError` (`shape`) that names the first key at fault."""
        try:
            return cls.model_validate(payload)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            key = ".".join(map(str, first["loc"]))
            message = f"loop rules: {key}: {first['msg']}; apply the loop file again with this release"
            raise InvalidError(reason="shape", message=message) from None


def loop_digest(loop: Loop) -> str:
    """SHA-256 (hex) of the canonical JSON: equal for files that mean the same, whatever their comments or order."""
    return sha256(orjson.dumps(loop.to_payload(), option=orjson.OPT_SORT_KEYS)).hexdigest()
