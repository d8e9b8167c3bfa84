"""Outcome rows as records: one per record of `keys` and group, in the same bytes whenever they are said again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from everloop import topics
from everloop.events import FeedbackJoined, OutcomesJoined, named_id
from everloop.runtime.log import Message, Place, Record
from everloop_ingest.adapters.records import Envelope, Wall, columns_message, moment, name_of
from everloop_ingest.domain.batches import Folded, Group, Met
from everloop_ingest.domain.declared import columns_in, pieces
from everloop_ingest.domain.picking import picked
from everloop_ingest.domain.shelves import Numbers, Said

_APART: Final = {"model", "segments"}


def outcomes(records: list[Record], groups: list[Group], found: Folded, wall: Wall) -> Iterator[Message]:
    """What followed from `records`, which are those of `found.parts`; `groups` by the places that rows name."""
    edges = _edges(found.part, records)
    feedback = [(met, _edges(met.part, records)) for met in found.feedback]
    for number, record in enumerate(records):
        for place, some in _by_group(found.said, np.arange(edges[number], edges[number + 1])):
            for piece, rest in pieces(some, carried=bool(groups[place].segments)):
                yield _outcome(record, piece, groups[place], found, rest, wall)
        for met, ends in feedback:
            for place, some in _by_group(met.said, np.arange(ends[number], ends[number + 1])):
                yield _feedback(record, groups[place], met, some, wall)


def _edges(part: Numbers, records: list[Record]) -> Numbers:
    """Where the rows of each record begin, and where those of the last end."""
    edges: Numbers = np.searchsorted(part, np.arange(len(records) + 1))
    return edges


def _by_group(said: Said, rows: Numbers) -> Iterator[tuple[int, Numbers]]:
    """Rows by group, each in order, the groups in order of their first row."""
    group = said["group"][rows]
    if len(rows) and (group == group[0]).all():  # as nearly always
        yield int(group[0]), rows
        return
    places, firsts = np.unique(group, return_index=True)
    for place in places[np.argsort(firsts)].tolist():
        yield place, rows[group == place]


def _outcome(record: Record, piece: str, group: Group, found: Folded, rows: Numbers, wall: Wall) -> Message:
    """Its id comes from the place of the record of `keys` and the group; fields are in the order of the contract."""
    said, labelled_at, before = found.said.take(rows), found.labelled_at[rows], found.before[rows]
    data = {
        **{name: value for name, value in group._asdict().items() if name not in _APART},
        "prediction_id": picked(found.ids, rows),
        "times": said["time"].copy(),
        "bucket": said["bucket"].copy(),
        "score": said["score"].copy(),
        "shadow_score": said["shadow"].copy() if group.shadow_version is not None else None,
        "label": found.label[rows],
        "labelled_at": labelled_at,
        "before": None if np.isnan(before).all() else before,
        "segments": columns_in(picked(found.texts, rows), group.segments) if group.segments else None,
    }
    identity = named_id(OutcomesJoined.__name__, f"{name_of(record)}/{group.told}{piece}")
    envelope = Envelope(OutcomesJoined, identity, moment(int(labelled_at.max())), group.model)
    return columns_message(Place(topics.OUTCOMES.name, record.place.partition), envelope, data, wall())


def _feedback(record: Record, group: Group, met: Met, rows: Numbers, wall: Wall) -> Message:
    """The same of feedback of one name."""
    said, said_at = met.said.take(rows), met.said_at[rows]
    data = {
        "name": met.name,
        **{name: getattr(group, name) for name in ("source", "version", "digest", "arm", "epoch")},
        "prediction_id": picked(met.ids, rows),
        "times": said["time"].copy(),
        "bucket": said["bucket"].copy(),
        "value": met.value[rows],
        "said_at": said_at,
        "before": met.before[rows],
    }
    identity = named_id(FeedbackJoined.__name__, f"{name_of(record)}/{met.name}/{group.told}")
    envelope = Envelope(FeedbackJoined, identity, moment(int(said_at.max())), group.model)
    return columns_message(Place(topics.OUTCOMES.name, record.place.partition), envelope, data, wall())
