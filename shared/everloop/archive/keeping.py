"""Which files of one model count, in the order of the log: what each event of `archive` makes of them. Pure.

A merged file takes the place of those that it replaces, and these followed each other among the files of their source,
which is one partition. So the rows of a source, read in order of offsets, stay in the same order, and a reader for whom
the first of two counts finds the same one.
"""

from __future__ import annotations

from everloop.events import FilesExpired, FilesMerged, ManifestCommitted

File = ManifestCommitted | FilesMerged
Files = tuple[File, ...]


def name_of(model: str, kind: str, partition: int, offsets: tuple[int, int]) -> str:
    """The name of a file in the store, by whose rows these are: the first and the last of their `offsets`.

    Twenty digits, as Kafka names its segments: in order of names is in order of offsets. One folder's name has the kind
    before the model, since a model may be called `..`.
    """
    first, last = offsets
    return f"{kind}.{model}/{partition}/{first:020d}-{last:020d}.parquet"


def source_of(file: File) -> tuple[str, int, str]:
    """Topic and partition of its rows, and their kind: one topic has labels and feedback."""
    return file.topic, file.partition, file.kind


def replaced(files: Files, said: FilesMerged) -> Files:
    """The files with a merged one in the place of its parts; as they were where the merge is void."""
    wanted = [part.id for part in said.replaces]
    places = [at for at, file in enumerate(files) if source_of(file) == source_of(said)]
    starts = [at for at, place in enumerate(places) if wanted and files[place].id == wanted[0]]
    run = places[starts[0] : starts[0] + len(wanted)] if starts else []
    if not run or [files[place].id for place in run] != wanted:
        return files
    gone = frozenset(run)
    return tuple(said if at == run[0] else file for at, file in enumerate(files) if at == run[0] or at not in gone)


def without(files: Files, said: FilesExpired) -> Files:
    """The files that are left."""
    gone = frozenset(said.files)
    return tuple(file for file in files if file.id not in gone)
