"""Starting the processes that train one stage together: torch's elastic agent, which is what `torchrun` runs."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from mml_core.cli import EXIT_STOPPED, Stopped

#: Seconds that processes have to save their state after SIGTERM; a scheduler's own patience should be longer.
_SECONDS_TO_SAVE = 100


def launch(script: Path, arguments: Sequence[str], processes: int) -> None:
    """Run `script` with `arguments` in `processes` processes of this machine and wait for all of them.

    SIGTERM and SIGINT are handed on to them. Raises Stopped where they stopped on request, after saving their state;
    ends this process with status 1 where one of them failed, which has told why.
    """
    # those before torch 2.10 or so do not know it, and wait for 30 seconds
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_SECONDS_TO_SAVE))
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,  # snakemake tries again, from the saved state
    )
    try:
        elastic_launch(config, sys.executable)("-u", str(script), *arguments)
    except SignalException as signalled:
        raise Stopped(f"{signalled.sigval.name}, handed on to {processes} processes") from None
    except ChildFailedError as failed:
        codes = {rank: failure.exitcode for rank, failure in failed.failures.items()}
        if EXIT_STOPPED in codes.values() and set(codes.values()) <= {EXIT_STOPPED, -signal.SIGTERM}:
            raise Stopped(f"all {processes} processes were asked to") from None
        told = ", ".join(f"{rank}: {code}" for rank, code in sorted(codes.items()))
        print(f"processes that failed, with their exit status: {told}", file=sys.stderr, flush=True)
        sys.exit(1)
