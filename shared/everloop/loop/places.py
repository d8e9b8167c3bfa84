"""Read YAML into plain values, and remember where each stood.

YAML 1.2's core types only, so that `on:` and `no` are texts and a date is a text. No tags, no aliases (nothing can
expand), no key twice, bounded size and depth.
"""

import re
from dataclasses import dataclass, field

import yaml
from pydantic import JsonValue

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, both from 1."""

    line: int
    column: int

    @classmethod
    def of(cls, mark: yaml.Mark | None) -> "Place":
        """Where YAML says; the start of the file where it says nothing."""
        return cls(mark.line + 1, mark.column + 1) if mark else cls(1, 1)


class UnreadableError(Exception):
    """The text is not YAML as we take it."""

    def __init__(self, place: Place, rule: str, fix: str) -> None:
        """`rule` names what is wrong at `place`, `fix` what to do."""
        super().__init__(rule)
        self.place, self.rule, self.fix = place, rule, fix


@dataclass(frozen=True, slots=True)
class Document:
    """The value of a file, where each value and each key stands, and where keys stand a second time."""

    value: JsonValue
    values: dict[Path, Place]
    keys: dict[Path, Place]
    repeated: list[tuple[Path, Place]]


class _CoreLoader(yaml.SafeLoader):
    """The safe loader, with the types of YAML 1.2 and without what a loop file has no use for."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the way in which PyYAML keeps them; replaced, not shared
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, unless it is of a kind that we refuse."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        place = Place.of(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise UnreadableError(place, "aliases are not used in loop files", "write the value out")
        if getattr(event, "tag", None) not in {None, "!"}:
            raise UnreadableError(place, "tags are not used in loop files", "remove the word that starts with !")
        if self.depth >= MAX_DEPTH:
            raise UnreadableError(place, f"nested deeper than {MAX_DEPTH} levels", "write it flatter")
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


_CORE = {
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    "int": (r"^[-+]?[0-9]{1,18}$", list("-+0123456789")),
    "float": (r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
}
for _kind, (_pattern, _first) in _CORE.items():
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(_pattern), _first)


def read_document(text: str, largest: int = MAX_BYTES) -> Document:
    """Read one YAML document of `largest` bytes at most. Raises `UnreadableError` at the first place at fault."""
    if len(text.encode("utf-8", "surrogatepass")) > largest:
        raise UnreadableError(
            Place(1, 1), f"the file is larger than {largest // 1024} kB", "split off what is not a loop"
        )
    try:
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(
            Place.of(error.problem_mark), f"not YAML: {error.problem}", "check indents and quotes"
        ) from None
    except yaml.YAMLError:
        raise UnreadableError(Place(1, 1), "not YAML: a character is not allowed", "save the file as UTF-8") from None
    return _Reader().document(node)


@dataclass
class _Reader:
    """Turns nodes into values, noting places on the way."""

    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    repeated: list[tuple[Path, Place]] = field(default_factory=list)

    def document(self, node: yaml.Node | None) -> Document:
        value = self.read(node, ()) if node else None
        return Document(value, self.values, self.keys, self.repeated)

    def read(self, node: yaml.Node, path: Path) -> JsonValue:
        self.values[path] = Place.of(node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return _scalar(node)

    def mapping(self, node: yaml.MappingNode, path: Path) -> JsonValue:
        found: dict[str, JsonValue] = {}
        for key, value in node.value:
            place = Place.of(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                raise UnreadableError(place, "a key must be a text", "write a name before the colon")
            inner = (*path, key.value)
            if key.value in found:
                self.repeated.append((inner, place))
                continue
            self.keys[inner] = place
            found[key.value] = self.read(value, inner)
        return found


def _scalar(node: yaml.Node) -> JsonValue:
    text: str = node.value
    match node.tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text)
        case "float":
            return float(text)
    return text
