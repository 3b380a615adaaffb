"""Words for jobs and times."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mml_core.run_command.events import Job

#: What a job does, by its rule; all others by the rule's name.
_RULES = {
    "data_plan": "plan of the data",
    "render_embedded": "render the embedded videos",
    "make_rgb_shard": "decode",
    "make_derived_shard": "make",
    "data_quality": "check what was decoded",
    "recipe_quality": "list unusable videos",
    "pretrained_weights": "download weights",
    "train_stage": "train",
    "score_stage": "score",
    "recipe_table": "table",
    "combined_table": "table of all recipes",
    "recipe_report": "report",
    "combined_report": "report of all recipes",
}
_TAIL_LINES = 20


def name_of(job: Job) -> str:
    """Return what `job` does to what, e.g. `train rgb`: digests in names are left out."""
    wildcards = dict(job.wildcards)
    what = _RULES.get(job.rule, job.rule.replace("_", " "))
    for key in ("dataset", "recipe"):
        wildcards.pop(key, None)
    if "modality" in wildcards:
        return f"{what} {_short(wildcards['modality'])}, shard {wildcards['shard']}"
    if job.rule == "score_stage":
        return f"{what} {_short(wildcards['stage'])} on {wildcards['split']}"
    return " ".join([what, *(_short(value) for value in wildcards.values())])


def _short(name: str) -> str:
    """Return `name` without the digest behind its last dash."""
    return name.rpartition("-")[0] or name


def span(seconds: float) -> str:
    """Return a time in words, to two digits or so."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours < 10 else f"{seconds / 3600:.0f} h"


def ending(error: str) -> str:
    """Return how a job's command ended where Snakemake's `error` says that a signal ended it; nothing otherwise."""
    found = re.search(r"died with <Signals\.(\w+): \d+>|non-zero exit status 1(?:29|3\d)\b", error)
    if found is None:
        return ""
    told = found[1] or "a signal"
    return f" (ended by {told}: too little memory?)" if told == "SIGKILL" else f" (ended by {told})"


def log_tail(logs: Iterable[str]) -> str:
    """Return the last lines of the first of `logs` that has any, with its path; nothing where none has."""
    for log in logs:
        path = Path(log)
        if path.is_file() and (lines := path.read_text(encoding="utf-8", errors="replace").splitlines()):
            shown = lines[-_TAIL_LINES:]
            return "\n".join([f"the end of its log, {log}:", *(f"  | {line}" for line in shown)])
    return "".join(f"its log: {log}" for log in list(logs)[:1])
