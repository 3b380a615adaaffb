"""Program: Snakemake, which asks Slurm once a second what became of its jobs.

Its plugin asks ten seconds later each time that no job has ended since, which tests would do nothing but wait for.
"""

from __future__ import annotations

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

if __name__ == "__main__":
    Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)
    main()
