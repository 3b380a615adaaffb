"""The command `snakemake` of this project's environment: Snakemake itself, with lists of values as people mean them.

Snakemake lets options such as `--resources` take any number of words. So in `snakemake --cores 64 --resources gpu=8
results/ensemble_table.csv` the target counts as a resource, and the command ends in a traceback. The values of these
options have the form NAME=VALUE; a word after them that has not is a target, and is handed over behind `--`.

Of an option that is given twice, as `--config dataset=a --config recipe=b`, Snakemake drops the first one's values
without a word. They are handed over as one list.

Jobs find the environment's interpreter, also where its command was called by its path and nothing was activated.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

#: Options of Snakemake that take words NAME=VALUE, by all their names.
_PAIRS = {
    "--resources": "--resources",
    "--res": "--resources",
    "--config": "--config",
    "-C": "--config",
    "--set-threads": "--set-threads",
    "--set-resources": "--set-resources",
    "--set-scatter": "--set-scatter",
    "--default-resources": "--default-resources",
    "--default-res": "--default-resources",
}
#: Options that take words of another form, of which several are a list as well.
_WORDS = {
    "--configfile": "--configfile",
    "--configfiles": "--configfile",
    "--forcerun": "--forcerun",
    "-R": "--forcerun",
    "--until": "--until",
    "-U": "--until",
    "--omit-from": "--omit-from",
    "-O": "--omit-from",
    "--allowed-rules": "--allowed-rules",
    "--rerun-triggers": "--rerun-triggers",
    "--consider-ancient": "--consider-ancient",
    "--prioritize": "--prioritize",
    "-P": "--prioritize",
    "--groups": "--groups",
    "--group-components": "--group-components",
}
_LISTS = _PAIRS | _WORDS


def whole_lists(words: Sequence[str]) -> list[str]:
    """Return the command line `words` with all values of an option that takes a list where it stands first.

    `--option=value` takes that one value: words after it are targets, which go behind `--`.
    """
    end = words.index("--") if "--" in words else len(words)
    parts: list[list[str]] = [[]]  # an option with what follows it
    lists: dict[str, list[str]] = {}
    targets: list[str] = []
    part = parts[0]
    for word in words[:end]:
        name, one_value, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if option := _LISTS.get(name):
            if option not in lists:
                parts.append(lists.setdefault(option, [option]))
            part = lists[option]
            if one_value:
                part.append(value)
                part = targets
        elif word.startswith("-"):
            part = [word]
            parts.append(part)
        else:
            part.append(word)
    targets += words[end + 1 :]
    return [word for part in parts for word in part] + (["--", *targets] if targets else [])


def targets_last(words: Sequence[str]) -> list[str]:
    """Return the command line `words` with targets that follow a list of NAME=VALUE moved behind `--`.

    Words behind a `--` that is there already stay where they are.
    """
    end = words.index("--") if "--" in words else len(words)
    options: list[str] = []
    targets: list[str] = []
    in_list = False
    for word in words[:end]:
        if word.startswith("-"):
            in_list = word in _PAIRS
        elif in_list and "=" not in word:
            targets.append(word)
            continue
        options.append(word)
    targets += words[end + 1 :]
    return [*options, "--", *targets] if targets else options


def path_with_interpreter(path: str | None) -> str:
    """Return the search path `path` with the folder of this interpreter in front.

    Jobs call `python`. So they find this environment's although nobody activated it; environments that Snakemake enters
    for a job (conda, containers) put theirs before it, and jobs on other machines have paths of their own.
    """
    own = os.path.dirname(sys.executable)  # noqa: PTH120 - that of the link in an environment, not of its target
    return own if not path else path if path.split(os.pathsep)[0] == own else f"{own}{os.pathsep}{path}"


def main() -> None:
    """Become Snakemake."""
    arguments = targets_last(whole_lists(sys.argv[1:]))
    os.environ["PATH"] = path_with_interpreter(os.environ.get("PATH"))
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *arguments])  # noqa: S606 - no shell on purpose


if __name__ == "__main__":
    main()
