"""Structured logs: one JSON object a line on standard error, without secrets, of bounded size."""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import nullcontext, suppress
from typing import Any, TextIO

import structlog

LONGEST = 500
SECRETS = frozenset(
    {"password", "passphrase", "secret", "code", "authorization", "challenge", "key", "cookie"}
)


class JSONLines(logging.StreamHandler[TextIO]):
    """Writes records, and lines that are JSON already."""

    @classmethod
    def configured(cls) -> "JSONLines | None":
        """Give the one that `configure_logging` has put in place."""
        found = (each for each in logging.getLogger().handlers if isinstance(each, cls))
        return next(found, None)

    def write_line(self, line: str) -> None:
        """Write a line; a log that cannot be written must not fail what it tells of."""
        with self.lock or nullcontext(), suppress(OSError, ValueError):
            self.stream.write(line)
            self.stream.flush()


def configure_logging(level: str) -> None:
    """Send structlog's events and the standard library's records the same way."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        scrub,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
    )
    handler = JSONLines(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    logging.getLogger("alembic").setLevel(max(number, logging.WARNING))  # It tells of each look.


def scrub(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what is named like a secret, and shorten what is long."""
    del logger, method
    for key, value in event.items():
        if key in SECRETS:
            event[key] = "[not logged]"
        elif isinstance(value, str) and len(value) > LONGEST and key != "exception":
            event[key] = value[:LONGEST] + "…"
    return event
