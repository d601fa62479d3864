"""How a log record is written."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

_OWN: Final = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "color_message"}
)
"""What every record has; what else is there came in `extra`. uvicorn adds `color_message`."""
_RESERVED: Final = frozenset({"time", "level", "logger", "message", "exception"})


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What came with a record in `extra`; a name that the line has itself gets an underscore."""
    return {
        f"{name}_" if name in _RESERVED else name: value
        for name, value in vars(record).items()
        if name not in _OWN
    }


def time_of(record: logging.LogRecord) -> str:
    """When: UTC, ISO 8601, to the millisecond."""
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One line of JSON: `time`, `level`, `logger`, `message`, the fields, and `exception` where there is
    one."""

    def format(self, record: logging.LogRecord) -> str:
        """As logging has it."""
        document: dict[str, Any] = {
            "time": time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        trace = _trace(self, record)
        if trace:
            document["exception"] = trace
        # JSON escapes line ends, and with ASCII alone whatever else a terminal or a reader could take for
        # one.
        return json.dumps(document, default=str, ensure_ascii=True)


class TextFormatter(logging.Formatter):
    """One line for people, `2026-01-31T12:00:00.000Z info gateway.audit: added user alice actor="uid:0
    (root)"`, and a traceback on lines of its own, indented. What does not print is escaped, so that a name
    that somebody chose cannot begin a line."""

    def format(self, record: logging.LogRecord) -> str:
        """As logging has it."""
        name = record.name.removeprefix("wardgate.")
        fields = "".join(f" {key}={_value(value)}" for key, value in fields_of(record).items())
        line = f"{time_of(record)} {record.levelname.lower()} {name}: {_visible(record.getMessage())}{fields}"
        return line + "".join(f"\n    {_visible(part)}" for part in _trace(self, record).splitlines())


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if record.exc_text or not record.exc_info:
        return record.exc_text or ""
    return formatter.formatException(record.exc_info)


def _value(value: object) -> str:
    text = _visible(str(value))
    plain = text and not any(c in ' "=' for c in text)
    return text if plain else '"' + text.replace('"', '\\"') + '"'


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
