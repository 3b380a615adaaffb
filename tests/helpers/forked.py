"""Runs of snakemake in children of the tests' process: importing it, once, takes longer than most runs themselves."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from snakemake import cli


def snakemake(folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Return exit status and output of snakemake in `folder`, whose own modules it imports, as `python -m` does."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _run(folder, arguments, environment, writer)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8", errors="replace") as said:
        output = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output


def _run(folder: Path, arguments: Sequence[str], environment: Mapping[str, str], output: int) -> NoReturn:
    status = 1
    try:
        for standard in (1, 2):
            os.dup2(output, standard)
        sys.stdout = sys.stderr = os.fdopen(output, "w", buffering=1, encoding="utf-8")
        os.chdir(folder)
        os.environ.update(environment)
        for name in [name for name in sys.modules if name.partition(".")[0] == "mml_core"]:
            del sys.modules[name]
        sys.path.insert(0, str(folder))
        cli.main(list(arguments))
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)
