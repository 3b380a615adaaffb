"""The states of a training that are kept while it runs: where it goes on, and where its epoch began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mml_core.errors import InputError
from mml_core.training.learners import Learner
from mml_core.training.processes import Processes
from mml_core.training.state import Progress, load_state, save_state

#: Folder of the state in which the epoch began, within that of all states.
EPOCH = "epoch"


@dataclass(frozen=True)
class SavedStates:
    """The states of one training in `folder`, that all `processes` see; `networks` and `learners` are what is kept."""

    folder: Path
    fingerprint: str
    networks: Mapping[str, nn.Module]
    learners: Mapping[str, Learner]
    processes: Processes

    def save(self, progress: Progress, name: str = "") -> None:
        """Write a state; all processes at the same step."""
        if self.processes.leads:
            save_state(self.folder / name, self.fingerprint, progress, self.networks, self.learners)
        self.processes.wait()  # a process that ended earlier would have the others ended

    def load(self) -> Progress:
        """Bring networks and learners where the training was, and return its progress: that of the beginning if none.

        Raises InputError where processes read different states.
        """
        progress, message = self._read("")
        print(message, flush=True)
        if not self.processes.all_equal(0 if progress is None else 1 + (progress.epoch << 32) + progress.step):
            raise InputError(
                "processes that train together read different states of the unfinished training",
                file=self.folder,
                hint="all of them must see the same folder of results",
            )
        return progress or Progress()

    def load_epoch(self) -> Progress:
        """Bring networks and learners to where the epoch began, and return its progress; errors where that is lost."""
        progress, message = self._read(EPOCH)
        if progress is None:
            raise InputError(
                f"the state in which the epoch began is lost ({message})",
                file=self.folder / EPOCH,
                hint=f"delete {self.folder}, and the training starts over",
            )
        return progress

    def _read(self, name: str) -> tuple[Progress | None, str]:
        return load_state(self.folder / name, self.fingerprint, self.networks, self.learners)
