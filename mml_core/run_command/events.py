"""What Snakemake tells of a run, line by line (workflow/logger)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

#: What a line of the plugin begins with.
MARK = "\x1e"


class Job(NamedTuple):
    """A job of the workflow: its rule and wildcards, which name it also in another run, and its logs."""

    rule: str
    wildcards: tuple[tuple[str, str], ...]
    logs: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What it is, whatever its logs are called."""
        return self.rule, self.wildcards


class Announced(NamedTuple):
    """A job is about to start; in a dry run, it would be."""

    number: int
    job: Job


class Finished(NamedTuple):
    """The job of this number is done."""

    number: int


class Failed(NamedTuple):
    """The job of this number ended with an error."""

    number: int


class Message(NamedTuple):
    """Words for people; `text` as Snakemake has it."""

    text: str
    is_error: bool


class Noise(NamedTuple):
    """A line that is no event: of interest only where the run failed and nothing else says why."""

    text: str


Event = Announced | Finished | Failed | Message | Noise


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Yield what `lines` tell, and nothing of what is told for other programs."""
    for line in lines:
        if not line.startswith(MARK):
            yield Noise(line.rstrip("\n"))
        elif event := _event(json.loads(line[len(MARK) :])):
            yield event


def _event(told: Mapping[str, Any]) -> Event | None:
    match told["event"]:
        case "job_info" if told["rule_name"] != "all":
            return Announced(told["jobid"], _job(told))
        case "job_finished":
            return Finished(told["job_id"])
        case "job_error":
            return Failed(told["jobid"])
        case "error":
            return Message(told["text"], is_error=True)
        case None if told["level"] in ("WARNING", "ERROR"):
            return Message(told["text"], is_error=told["level"] == "ERROR")
        case _:
            return None


def _job(told: Mapping[str, Any]) -> Job:
    return Job(told["rule_name"], tuple(sorted(told.get("wildcards", {}).items())), tuple(told.get("log", ())))
