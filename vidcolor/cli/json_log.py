"""Messages as JSON lines, for other programs: `--log-json`."""

import json
import logging
from datetime import UTC, datetime
from typing import Any


def line_of(record: logging.LogRecord) -> str:
    """Return a message as a JSON object on one line.

    Its keys: `time` (RFC 3339, UTC, milliseconds), `level` (debug, info, warning, error), `logger`
    (the module that logs), `process` (its ID) and `message`; `facts`, the
    message's numbers and names, if it was logged with `extra={"facts": {...}}`; and
    `traceback`, if an exception was logged with it.
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
