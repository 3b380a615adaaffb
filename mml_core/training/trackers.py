"""Programs that follow trainings beside TensorBoard: Trackio, Weights & Biases and MLflow, imported only where chosen.

Which one is a setting of the run and defines no result. What a tracker does wrong once a training is under way is told,
and ends nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from mml_core.config.project import TrackerName
from mml_core.errors import InputError

#: What pip calls them.
_PACKAGES = {"trackio": "trackio", "wandb": "wandb", "mlflow": "mlflow"}
_HINTS = {
    "trackio": "see the package's own documentation",
    "wandb": "log in with `wandb login`, or set WANDB_MODE=offline",
    "mlflow": "MLFLOW_TRACKING_URI says where its server or its folder is",
}
#: Columns of the history that are no values of an epoch.
_NO_VALUES = ("epoch", "step", "network")


#: Takes the history's rows of an epoch that ended, one a network.
Follow = Callable[[Sequence[Mapping[str, Any]]], None]


class Training(NamedTuple):
    """What is told of a training when it starts."""

    project: str  # the data set
    name: str  # the stage's key, the same when it goes on after an interruption
    settings: Mapping[str, Any]


class Tracker(Protocol):
    """What follows a training."""

    def on_start(self, training: Training) -> None:
        """Begin, or go on with, the training of this name."""

    def on_epoch(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of an epoch by name, after so many steps."""

    def on_end(self) -> None:
        """Close, whether the training is complete or not."""


class RunTracker:
    """Trackio or Weights & Biases, whose functions are called alike."""

    def __init__(self, module: Any, **more: Any) -> None:
        self._module, self._more = module, more

    def on_start(self, training: Training) -> None:
        """See `Tracker`."""
        own = {"id": training.name} if "id" in self._more else {}
        settings = {**self._more, **own}
        self._module.init(project=training.project, name=training.name, config=dict(training.settings), **settings)

    def on_epoch(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._module.log(dict(values), step=step)

    def on_end(self) -> None:
        """See `Tracker`."""
        self._module.finish()


class MlflowTracker:
    """MLflow: an experiment for each data set, a run for each stage."""

    #: Tag by which the run of a stage is found again.
    _TAG = "mml.stage"
    #: Longest value of a parameter that MLflow takes.
    _MOST = 6000

    def __init__(self, module: Any) -> None:
        self._module = module

    def on_start(self, training: Training) -> None:
        """See `Tracker`."""
        self._module.set_experiment(training.project)
        filter_string = f"tags.`{self._TAG}` = '{training.name}'"
        before = self._module.search_runs(filter_string=filter_string, max_results=1, output_format="list")
        if before:
            self._module.start_run(run_id=before[0].info.run_id)
            return
        self._module.start_run(run_name=training.name, tags={self._TAG: training.name})
        self._module.log_params({key: str(value)[: self._MOST] for key, value in training.settings.items()})

    def on_epoch(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._module.log_metrics(dict(values), step=step)

    def on_end(self) -> None:
        """See `Tracker`."""
        self._module.end_run()


def check_tracker(name: TrackerName) -> None:
    """Raise InputError where the package of tracker `name` is not installed."""
    if name != "none" and importlib.util.find_spec(name) is None:
        raise InputError(f"tracker {name}: it is not installed", hint=f"pip install {_PACKAGES[name]}")


def _tracker(name: TrackerName) -> Tracker | None:
    """Return the tracker `name`, None for none; raises InputError where its package is not installed."""
    if name == "none":
        return None
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"tracker {name}: it cannot be imported ({error})", hint=f"pip install {_PACKAGES[name]}"
        ) from error
    match name:
        case "trackio":
            return RunTracker(module, resume="allow")
        case "wandb":
            return RunTracker(module, resume="allow", id="")
        case "mlflow":
            return MlflowTracker(module)


@contextmanager
def tracked(name: TrackerName, training: Training) -> Iterator[Follow]:
    """Yield what takes the history's rows of each epoch of `training` to the tracker `name`.

    Raises InputError where the tracker cannot be imported, or does not start.
    """
    tracker = _tracker(name)
    if tracker is None:
        yield lambda rows: None
        return
    try:
        tracker.on_start(training)
    except Exception as error:  # what these programs raise is their own affair
        raise InputError(f"tracker {name} does not start ({error})", hint=_HINTS[name]) from error

    def take(rows: Sequence[Mapping[str, Any]]) -> None:
        with _told(name):
            tracker.on_epoch(rows[0]["step"], epoch_values(rows))

    try:
        yield take
    finally:
        with _told(name):
            tracker.on_end()


def epoch_values(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the numbers in the history's rows of an epoch as `network/column`."""
    return {
        f"{row['network']}/{column}": value
        for row in rows
        for column, value in row.items()
        if column not in _NO_VALUES and isinstance(value, int | float)
    }


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Tell what a tracker does wrong, and go on."""
    try:
        yield
    except Exception as error:  # a training of days does not end since a server of others is away
        print(f"WARNING: tracker {name}: {type(error).__name__}: {error}", flush=True)
