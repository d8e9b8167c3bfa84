"""Logs: one line of JSON per event on the standard output. No payloads, no line breaks, no terminal escapes (S16)."""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import orjson
import structlog

from everloop.events import Event

LONGEST: Final = 500
_ESCAPES: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_NOISY: Final = {"kafka": logging.ERROR, "aiokafka": logging.ERROR, "uvicorn.access": logging.ERROR}

Fields = MutableMapping[str, object]


def configure(service: str, replica: str, *, out: TextIO | None = None) -> None:
    """Send this process's logs, ours and those of libraries from WARNING on, to `out` (the standard output)."""
    stream = out or sys.stdout
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Named(service, replica),
    ]
    structlog.configure(
        processors=[*shared, clean, _render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _libraries(stream, shared)
    if out is None:
        _tell_uncaught()


@contextmanager
def about(event: Event) -> Iterator[None]:
    """Put the turn of the loop, the model and the event's id on every line that is logged inside."""
    turn = str(event.correlation_id) if event.correlation_id else None
    with structlog.contextvars.bound_contextvars(correlation_id=turn, model=event.model, event_id=str(event.id)):
        yield


def clean(_logger: object, _method: str, fields: Fields) -> Fields:
    """Keep plain values only, short and on one line; of an error its type alone, since messages echo values."""
    error = fields.pop("exc_info", None)
    if error:
        fields["error"] = _error_name(error)
    for name in [name for name, value in fields.items() if value is None]:
        del fields[name]
    for name, value in fields.items():
        fields[name] = _plain(value)
    return fields


class _Named:
    """Puts service and replica on every line."""

    def __init__(self, service: str, replica: str) -> None:
        self.fields: Final = {"service": service, "replica": replica}

    def __call__(self, _logger: object, _method: str, fields: Fields) -> Fields:
        return {**self.fields, **fields}


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return strip(value)
    return f"<{type(value).__name__}>"


def strip(text: str) -> str:
    """Give a text that is one line, without terminal escapes, control or direction characters, and not too long."""
    short = _CONTROLS.sub(" ", _ESCAPES.sub("", text[: 4 * LONGEST])).strip()[:LONGEST]
    return short.encode(errors="replace").decode()


def _error_name(error: object) -> str:
    found = sys.exc_info()[1] if error is True else error[1] if isinstance(error, tuple) else error
    return type(found).__name__ if found is not None else "none"


def _render(_logger: object, _method: str, fields: Fields) -> str:
    return orjson.dumps(dict(fields), option=orjson.OPT_NON_STR_KEYS).decode()


def _libraries(stream: TextIO, shared: list[structlog.typing.Processor]) -> None:
    handler = logging.StreamHandler(stream)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    foreign: list[structlog.typing.Processor] = [*shared, _logger_name, _without_text_of_errors]
    rest: list[structlog.typing.Processor] = [remove, clean, _render]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=rest))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name, level in _NOISY.items():
        logging.getLogger(name).setLevel(level)


def _logger_name(_logger: object, _method: str, fields: Fields) -> Fields:
    record = fields.get("_record")
    if isinstance(record, logging.LogRecord):
        fields["logger"] = record.name
    return fields


def _without_text_of_errors(_logger: object, _method: str, fields: Fields) -> Fields:
    """Libraries put the error itself into its line (`Crashed reason=%r`): the head of the template is kept."""
    record = fields.get("_record")
    if isinstance(record, logging.LogRecord) and record.exc_info:
        fields["event"] = str(record.msg).split("\n", 1)[0]
    return fields


def _tell_uncaught() -> None:
    """An error that nobody caught is a line like any other: the interpreter would show its text, and rows in it."""
    sys.excepthook = lambda _, error, __: log_uncaught(error)
    threading.excepthook = lambda hooked: log_uncaught(hooked.exc_value)


def log_uncaught(error: BaseException | None) -> None:
    """Log the kind of an error and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else "unknown"
    structlog.get_logger().critical("uncaught", error=type(error).__name__, where=where)
