"""Read a loop file; say everything that is wrong with it at once, each with file, line, key, rule, choices and fix."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from pydantic import JsonValue, ValidationError

from everloop.durations import RuleError
from everloop.errors import UsageError
from everloop.loop.places import Document, Path, Place, UnreadableError, read_document
from everloop.loop.root import Loop
from everloop.loop.schema import json_schema, schema_at
from everloop.loop.types import FROM_FILE

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SECRET = re.compile(r"passw|secret|token|credential|private|api_?key", re.IGNORECASE)
LONGEST_ECHO = 40
MOST_SAID = 50
_schema = cache(json_schema)
_PLAIN = {
    "model_type": "should be a mapping: write its keys below it, or remove it",
    "dict_type": "should be a mapping: write its keys below it, or remove it",
    "mapping_type": "should be a mapping: write its keys below it, or remove it",
    "tuple_type": "should be a list",
    "string_type": "should be a text",
    "string_pattern_mismatch": "is not of the right form",
    "int_type": "should be a whole number without quotes",
    "int_from_float": "should be a whole number without quotes",
    "float_type": "should be a number without quotes",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file. Line and column count from 1; `key` is dotted, empty for the whole file."""

    file: str
    line: int
    column: int
    key: str
    message: str
    allowed: tuple[str, ...] = ()
    fix: str = ""

    def __str__(self) -> str:
        """One line: `fraud.yaml:12: drift.default.test: "pis" is not allowed; allowed: psi, ks; did you mean psi?`."""
        choices = f"allowed: {', '.join(self.allowed)}" if self.allowed else ""
        said = "; ".join(part for part in (self.message, choices, self.fix) if part)
        return f"{self.file}:{self.line}: {self.key + ': ' if self.key else ''}{said}"


class LoopFileError(UsageError):
    """A loop file cannot be used; `problems` says why, in the order of the lines."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """The message is one line per problem, the first so many of them."""
        more = [f"and {len(problems) - MOST_SAID} more"] if len(problems) > MOST_SAID else []
        super().__init__("\n".join([*map(str, problems[:MOST_SAID]), *more]))
        self.problems = problems


def read_loop(text: str, name: str) -> Loop:
    """Read the text of the loop file `name`. Raises `LoopFileError` with all its problems."""
    try:
        document = read_document(text)
    except UnreadableError as error:
        raise LoopFileError((_problem(name, error.place, (), error.rule, fix=error.fix),)) from None
    if not isinstance(document.value, dict):
        raise LoopFileError(
            (_problem(name, Place(1, 1), (), "the file is not a mapping", fix="start with kind: Loop"),)
        )
    return _checked(document, name)


def _checked(document: Document, name: str) -> Loop:
    problems = [
        _problem(name, place, path, "is written twice", fix="keep one of the two") for path, place in document.repeated
    ]
    try:
        loop = Loop.model_validate(document.value, context=FROM_FILE)
    except ValidationError as error:
        problems += [_explain(one, document, name) for one in error.errors(include_url=False)]
        raise _refusal(problems) from None
    if problems:
        raise _refusal(problems)
    return loop


def _refusal(problems: list[Problem]) -> LoopFileError:
    return LoopFileError(tuple(sorted(problems, key=lambda one: (one.line, one.column, one.key))))


def _explain(error: "ErrorDetails", document: Document, name: str) -> Problem:
    """Say one of the model's errors in the words of the file."""
    cause = error.get("ctx", {}).get("error")
    rule = cause if isinstance(cause, RuleError) else None
    path = (*error["loc"], *(rule.at if rule else ()))
    if path[-1:] == ("[key]",):
        return _wrong_key(path[:-1], document, name, rule)
    place, shown = _nearest(document.values, path), _shown(document, path)
    if rule:
        return _problem(name, place, path, f"{shown} {rule.rule}", fix=rule.fix)
    if error["type"] == "extra_forbidden":
        return _wrong_key(path, document, name, None)
    if error["type"] == "missing":
        return _problem(name, place, path, "is missing", fix=f"add it: {_description(path)}")
    allowed = _allowed(path)
    if allowed:
        return _problem(
            name, place, path, f"{shown} is not allowed", allowed, _did_you_mean(document.value, path, allowed)
        )
    return _problem(name, place, path, f"{shown} {_rule_of(error)}", fix=_description(path))


def _wrong_key(path: Path, document: Document, name: str, rule: RuleError | None) -> Problem:
    """The key itself is at fault; its value is never shown."""
    place = _nearest(document.keys, path)
    if rule:
        return _problem(name, place, path, rule.rule, fix=rule.fix)
    allowed = _keys(path[:-1])
    return _problem(name, place, path, "is not a key here", allowed, _closest(str(path[-1]), allowed))


def _problem(
    name: str, place: Place, path: Path, message: str, allowed: tuple[str, ...] = (), fix: str = ""
) -> Problem:
    return Problem(name, place.line, place.column, ".".join(_line(str(step)) for step in path), message, allowed, fix)


def _nearest(places: dict[Path, Place], path: Path) -> Place:
    """Where `path` stands, or the innermost part around it that stands in the file."""
    inner = (path[:length] for length in range(len(path), -1, -1))
    return next((places[part] for part in inner if part in places), Place(1, 1))


def _shown(document: Document, path: Path) -> str:
    """The value at `path` as it may be shown: not under a key that sounds secret, not at length, no mapping."""
    if path not in document.values:
        return "the default"
    found = _value_at(document.value, path)
    if any(SECRET.search(str(step)) for step in path):
        return "the value (hidden)"
    if found is None:
        return "an empty value"
    if isinstance(found, list | dict):
        return "the list" if isinstance(found, list) else "the mapping"
    if not isinstance(found, str):
        return _word(found)
    return f'"{_line(found)}"'


def _line(text: str) -> str:
    """A text of the file, fit for one line of a terminal: cut, and without control characters."""
    cut = text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "…"
    return "".join(letter if letter.isprintable() else "?" for letter in cut)


def _value_at(value: JsonValue, path: Path) -> JsonValue:
    for step in path:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _rule_of(error: "ErrorDetails") -> str:
    """What pydantic says, without its subject and in the words of YAML."""
    if error["type"] in _PLAIN:
        return _PLAIN[error["type"]]
    return re.sub(r"^(Input|String|Dictionary|Tuple|Value) should ", "should ", error["msg"])


def _description(path: Path) -> str:
    """What the key means, from the published schema: said at the key, else of the section that it opens."""
    above = schema_at(_schema(), path[:-1]).get("properties")
    here = above.get(str(path[-1])) if isinstance(above, dict) else None
    said = here.get("description") if isinstance(here, dict) else None
    return str(said or schema_at(_schema(), path).get("description", ""))


def _allowed(path: Path) -> tuple[str, ...]:
    here = schema_at(_schema(), path)
    choices = here.get("enum", [here["const"]] if "const" in here else [])
    return tuple(_word(choice) for choice in choices) if isinstance(choices, list) else ()


def _word(value: JsonValue) -> str:
    """A plain value as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _keys(path: Path) -> tuple[str, ...]:
    """The keys that may stand in the mapping at `path`."""
    here = schema_at(_schema(), path)
    names = here.get("propertyNames")
    found = here.get("properties") or (names.get("enum") if isinstance(names, dict) else None)
    return tuple(map(str, found)) if isinstance(found, list | dict) else ()


def _did_you_mean(value: JsonValue, path: Path, allowed: tuple[str, ...]) -> str:
    found = _value_at(value, path)
    return "" if SECRET.search(".".join(map(str, path))) else _closest(str(found), allowed)


def _closest(word: str, allowed: tuple[str, ...]) -> str:
    return "".join(f"did you mean {match}?" for match in get_close_matches(word, allowed, n=1))
