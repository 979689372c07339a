"""Messages as lines of JSON, for programs that read along: `--log-json`."""

import json
import logging
from datetime import UTC, datetime
from typing import Any


def line_of(record: logging.LogRecord) -> str:
    """Return a message as one JSON object on one line.

    Its keys: `time` (RFC 3339, UTC, milliseconds), `level` (debug, info, warning, error), `logger`
    (the module that speaks), `process` (its number on the machine) and `message`; `facts`, what the
    message says in numbers and names, where it was logged with `extra={"facts": {...}}`; and
    `traceback`, where an exception was logged with it.
    """
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "process": record.process,
        "message": record.getMessage(),
    }
    facts = getattr(record, "facts", None)
    if facts:
        line["facts"] = facts
    if record.exc_info:
        line["traceback"] = logging.Formatter().formatException(record.exc_info)
    return json.dumps(line, default=str)
