"""Structured logs: one JSON object a line, with session, chunk and trace where there are any."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

from service.tracing import TraceIds

FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure_logs(level: str, *, deployment: str | None = None) -> None:
    """Send the service's log records to stderr as JSON; a second call replaces the first.

    Args:
        level: Name of the lowest level that is written.
        deployment: Added to every record of this process.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(TraceIds())
    handler.setFormatter(
        JsonFormatter(
            FIELDS,
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            static_fields={"deployment": deployment} if deployment else {},
        )
    )
    logger = logging.getLogger("service")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
