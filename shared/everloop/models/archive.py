"""The container of a model file: a zip of stored members, in one canonical form.

`schema.json` is skops' description of the object, `manifest.json` ours, `<n>.npy` its arrays. What comes from outside
is opened with limits, checked against the list of `allowed`, and written anew in canonical form before skops sees it:
so skops never parses a byte that was not checked, and the same model always has the same bytes and digest.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from everloop.errors import InvalidError
from everloop.models.allowed import ALLOWED, PROTOCOL

SCHEMA: Final = "schema.json"
MANIFEST: Final = "manifest.json"
LARGEST: Final = 1 << 28
MOST_MEMBERS: Final = 100_000
_MEMBER: Final = re.compile(r"schema\.json|manifest\.json|[0-9]{1,20}\.npy")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o600 << 16
# Values that nobody shares on purpose; whether they share an identity differs from run to run.
_VALUES: Final = frozenset({"JsonNode", "TypeNode", "SliceNode", "DTypeNode"})
Node = dict[str, Any]  # skops' own JSON, whose fields differ per kind of node


def unpack(data: bytes) -> dict[str, bytes]:
    """Give the members of a file. Raises `InvalidError`: `too_large`, `malformed`, for all that is not plainly ours."""
    if len(data) > LARGEST:
        raise InvalidError("too_large", f"the model file has {len(data)} bytes, more than the limit of {LARGEST}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(archive.infolist(), len(data))
            return {member.filename: archive.read(member) for member in archive.infolist()}
    except InvalidError:
        raise
    except Exception as error:  # zipfile raises a dozen kinds on damaged bytes; all mean the same
        raise malformed(f"it cannot be read as a zip ({type(error).__name__})") from error


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse paths, duplicates and bombs. Stored members that do not overlap cannot be larger than their file."""
    if len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > size:
        raise InvalidError("too_large", "the model file unpacks to more than itself; only stored members are read")
    names = [member.filename for member in members]
    if len(set(names)) != len(names) or not {SCHEMA, MANIFEST} <= set(names):
        raise malformed("a member is missing or there twice")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or not _MEMBER.fullmatch(member.filename):
            raise malformed("a member is compressed or has a foreign name")


def read_schema(members: Mapping[str, bytes]) -> Node:
    """Parse and audit skops' description. Raises `InvalidError`: `malformed`, `untrusted_type`."""
    try:
        schema: Any = orjson.loads(members[SCHEMA])
    except orjson.JSONDecodeError as error:
        raise malformed("its schema is no JSON") from error
    if not isinstance(schema, dict) or schema.get("protocol") != PROTOCOL:
        raise malformed(f"its protocol is not {PROTOCOL}; older ones have weaker checks")
    audit(schema, members)
    checked: Node = schema
    return checked


def audit(schema: Node, members: Mapping[str, bytes]) -> None:
    """Hold every node to the list of its kind, before anything is built or imported."""
    for node in nodes(schema):
        kind, name = node.get("__loader__"), f"{node.get('__module__')}.{node.get('__class__')}"
        if name not in ALLOWED.get(str(kind), frozenset()):
            raise InvalidError("untrusted_type", f"the model file wants {kind} {name}, which is not on our list")
        if "file" in node and node["file"] not in members:
            raise malformed("an array is missing")


def nodes(schema: Node) -> Iterator[Node]:
    """Walk all nodes in the order of the description. Not recursive: depth is the file's choice."""
    stack: list[object] = [schema]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "__class__" in item or "__module__" in item or "__loader__" in item:
                yield item
            stack.extend(reversed(item.values()))
        elif isinstance(item, list):
            stack.extend(reversed(item))


def pack(schema: Node, members: Mapping[str, bytes]) -> bytes:
    """Give the canonical file: identities and arrays numbered as they appear, no time, no compression.

    skops writes memory addresses as identities; they differ from run to run, only their equality means something.
    """
    identities: dict[object, int] = {}
    arrays: dict[str, str] = {}
    for node in nodes(schema):
        if node["__loader__"] in _VALUES:
            node.pop("__id__", None)
        if "__id__" in node:
            node["__id__"] = identities.setdefault(node["__id__"], len(identities) + 1)
        if "file" in node:
            node["file"] = arrays.setdefault(node["file"], f"{len(arrays)}.npy")
    named = {MANIFEST: members[MANIFEST], SCHEMA: orjson.dumps(schema)}
    return _zip({**named, **{new: members[old] for old, new in arrays.items()}})


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = 3, _MODE
            archive.writestr(info, content)
    return buffer.getvalue()


def malformed(why: str) -> InvalidError:
    """Word the refusal of a file that is none of ours."""
    return InvalidError("malformed", f"this is not a model file of ours: {why}; write it with everloop.models.dump")
