"""The command `snakemake` of this project's environment: Snakemake itself, with targets told from options' values.

Snakemake lets options such as `--resources` take any number of words. So in `snakemake --cores 64 --resources gpu=8
results/ensemble_table.csv` the target counts as a resource, and the command ends in a traceback. The values of these
options have the form NAME=VALUE; a word after them that has not is a target, and is handed over behind `--`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

#: Options of Snakemake that take one or more words NAME=VALUE.
_LISTS = frozenset(
    {
        "--resources",
        "--res",
        "--config",
        "-C",
        "--set-threads",
        "--set-resources",
        "--set-scatter",
        "--default-resources",
        "--default-res",
    }
)


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
            in_list = word in _LISTS
        elif in_list and "=" not in word:
            targets.append(word)
            continue
        options.append(word)
    targets += words[end + 1 :]
    return [*options, "--", *targets] if targets else options


def main() -> None:
    """Become Snakemake."""
    arguments = targets_last(sys.argv[1:])
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *arguments])  # noqa: S606 - no shell on purpose


if __name__ == "__main__":
    main()
