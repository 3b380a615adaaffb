"""Snakemake's logger plugin `mml`: what happens as lines of JSON on standard error, which `mml run` reads.

A line begins with the record separator of RFC 7464, so that it is told from whatever else is printed there.
"""

from __future__ import annotations

import contextlib
import json
import sys
from logging import LogRecord

from snakemake_interface_logger_plugins.base import LogHandlerBase

MARK = "\x1e"
#: What is told of a record, besides its event, level and text.
_KEYS = ("jobid", "job_id", "jobs", "rule_name", "wildcards", "log", "threads", "stats", "done", "total", "exception")


class LogHandler(LogHandlerBase):
    """Writes each record as a line."""

    @property
    def writes_to_stream(self) -> bool:
        """Instead of Snakemake's own words."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """No."""
        return False

    @property
    def has_filter(self) -> bool:
        """All records are told."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Lines are formatted here."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """No."""
        return False

    def emit(self, record: LogRecord) -> None:
        """Write a line; where nobody reads any more, the run goes on all the same."""
        told = {key: getattr(record, key) for key in _KEYS if getattr(record, key, None) is not None}
        event = getattr(record, "event", None)
        line = {"event": event and str(event), "level": record.levelname, "text": record.getMessage(), **told}
        with contextlib.suppress(BrokenPipeError):
            print(f"{MARK}{json.dumps(line, default=str)}", file=sys.stderr, flush=True)
