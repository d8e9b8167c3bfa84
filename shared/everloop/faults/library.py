"""The library: every fault with its name, the diagnosis that is right, and one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from everloop.diagnoses import SORTS, Kind
from everloop.faults import data, world
from everloop.faults.batch import Batch, Moment

Spoil = Callable[[Batch, Moment], Batch]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One fault. `kind` is its diagnosis, None for a control. `pool` times the wanted rows have to be given to it.

    `at_once`: it is there from a model's first window on; `always`: in what the model learnt from, too.
    """

    name: str
    kind: Kind | None
    spoil: Spoil
    pool: int = 1
    at_once: bool = False
    always: bool = False

    @property
    def family(self) -> str:
        """The family of its kind; `none` for a control."""
        return SORTS[self.kind].family if self.kind else "none"

    @property
    def sentence(self) -> str:
        """What it does."""
        return (self.spoil.__doc__ or "").partition("\n")[0]


def spoiled(fault: Labelled, batch: Batch, moment: Moment) -> Batch:
    """What is sent instead of these rows."""
    return fault.spoil(batch, moment)


def nothing(batch: Batch, moment: Moment) -> Batch:
    """Leave the rows as they are."""
    del moment
    return batch


def fewer(batch: Batch, moment: Moment) -> Batch:
    """Send one row of four: less traffic is no fault."""
    del moment
    return Batch({name: values[::4] for name, values in batch.columns.items()}, batch.labels[::4])


FAULTS: Final[Mapping[str, Labelled]] = {
    one.name: one
    for one in (
        Labelled("none", None, nothing),
        Labelled("fewer_rows", None, fewer, pool=3),
        Labelled("missing_in_one", "missing_spike", data.missing_in_one),
        Labelled("missing_everywhere", "missing_spike", data.missing_everywhere),
        Labelled("infinite", "missing_spike", data.infinite),
        Labelled("text_in_numbers", "missing_spike", data.text_in_numbers),
        Labelled("scaled_up", "unit_change", data.scaled_up),
        Labelled("scaled_down", "unit_change", data.scaled_down),
        Labelled("fahrenheit", "unit_change", data.fahrenheit),
        Labelled("sign_flipped", "unit_change", data.sign_flipped),
        Labelled("constant_number", "constant", data.constant_number),
        Labelled("constant_category", "constant", data.constant_category),
        Labelled("frozen_feed", "stale_feed", data.frozen_feed),
        Labelled("frozen_column", "stale_feed", data.frozen_column),
        Labelled("looping_rows", "stale_feed", data.looping_rows),
        Labelled("column_dropped", "schema", data.column_dropped),
        Labelled("column_added", "schema", data.column_added),
        Labelled("column_retyped", "schema", data.column_retyped),
        Labelled("encoding_changed", "schema", data.encoding_changed),
        Labelled("unscaled", "train_serve_skew", data.unscaled, at_once=True),
        Labelled("shifted_mildly", "covariate_shift", world.shifted_mildly, pool=world.POOL),
        Labelled("shifted_strongly", "covariate_shift", world.shifted_strongly, pool=world.POOL),
        Labelled("shifting_slowly", "covariate_shift", world.shifting_slowly, pool=world.POOL),
        Labelled("prior_shifted", "prior_shift", world.prior_shifted, pool=world.POOL),
        Labelled("concept_flipped", "concept_change", world.concept_flipped),
        Labelled("concept_turning", "concept_change", world.concept_turning),
        Labelled("daily", "season", world.daily, always=True),
        Labelled("noisy_labels", "quality_loss", world.noisy_labels),
    )
}
