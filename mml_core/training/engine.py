"""The training loop: any number of networks on the same clips, one objective, parts in turns, exact resume.

Randomness is a function of the stage's seed and the position: clips draw from (seed, epoch, clip), dropout from
(seed, step, group). So an interrupted run that goes on from its state takes the very steps of an undisturbed one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mml_core.clips import Batch, TrainingClips, epoch_batches, training_loader
from mml_core.config.stage import StageConfig
from mml_core.networks import Prediction
from mml_core.networks.inputs import normalised_inputs
from mml_core.objectives import ClipSums, Losses, Objective
from mml_core.runtime.cli import Stopped
from mml_core.training.batch_norm import group_batch_norm, settle
from mml_core.training.build import Members
from mml_core.training.compiled import compiled, compiling, require_own_groups
from mml_core.training.deterministic import deterministic
from mml_core.training.gradients import told_step
from mml_core.training.history import epoch_rows
from mml_core.training.learners import Learner, start_epoch
from mml_core.training.micro_batches import MicroBatch, cut, own_part, processes_sharing
from mml_core.training.precision import half_type
from mml_core.training.processes import ALONE, Processes, gradients_kept
from mml_core.training.saved import EPOCH, SavedStates
from mml_core.training.schedule import Plateau, learning_rate_factor
from mml_core.training.state import Progress
from mml_core.training.stop import StopRequest, stop_on_signals
from mml_core.training.sums import Sums, total
from mml_core.training.taken import Diverged, Taken, check_validation, check_weights

#: network -> quantity of the validation split: `validation_loss`, and with one label `validation_top1` in percent
Validate = Callable[[Mapping[str, nn.Module]], dict[str, dict[str, float]]]
#: takes the history's rows of an epoch that ended, one a network
Record = Callable[[list[dict[str, Any]]], None]


class Trainer:
    """Trains the networks of one stage. Make one, call `run` once."""

    def __init__(
        self,
        members: Members,
        objective: Objective,
        config: StageConfig,
        clips: TrainingClips,
        validate: Validate,
        record: Record,
        *,
        state_folder: Path,
        fingerprint: str,
        device: torch.device,
        workers: int,
        processes: Processes = ALONE,
    ) -> None:
        self.members, self.objective, self.config, self.clips = members, objective, config, clips
        self.validate, self.record, self.device, self.workers = validate, record, device, workers
        self.steps = len(epoch_batches(len(clips), config.batch_size, config.seed, 0))
        self.half = half_type(config.precision, device)
        self.progress = Progress()
        self.diverged: int | None = None  # the epoch, from 1, in which the training ended before its time
        self.active: dict[str, Learner] = {}
        self.processes = processes
        sharing = processes_sharing(config, len(clips), processes.count)
        if config.compile:
            require_own_groups(sharing)
        peers = processes.peers(sharing)
        self.batch_norms = [one for network in self.networks.values() for one in group_batch_norm(network, peers)]
        for learner in members.learners.values():  # what ever learns takes part in the exchange of gradients
            learner.start()
        self.states = SavedStates(state_folder, fingerprint, self.networks, members.learners, processes)
        called = {name: compiled(one) if config.compile else one for name, one in self.networks.items()}
        self.models = {name: processes.together(model) for name, model in called.items()}

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The trained networks by name."""
        return {name: member.network for name, member in self.members.trained.items()}

    def run(self) -> list[dict[str, Any]]:
        """Train from the saved state, or the beginning, to the last epoch; return the history.

        Raises Stopped after saving the state where SIGTERM or SIGINT came, and Diverged where a loss is not finite,
        unless the stage is to end then.
        """
        self.progress = self.states.load()
        steps, done = self.config.epochs * self.steps, self.progress.epoch * self.steps + self.progress.step
        with (
            stop_on_signals(patient=self.processes.count > 1) as stop,
            deterministic(),
            compiling() if self.config.compile else nullcontext(),
            tqdm(
                total=steps,
                initial=done,
                unit="step",
                desc="training",
                mininterval=5,
                smoothing=0.05,
                disable=not self.processes.leads,
            ) as bar,
        ):
            while self.progress.epoch < self.config.epochs and self.diverged is None:
                with self._going_back():
                    self._train_epoch(bar, stop)
                    self._close_epoch()
        return self.progress.history

    @contextmanager
    def _going_back(self) -> Iterator[None]:
        """Bring back, where an epoch in the block diverges and the stage is to end then, what was before the epoch.

        That is kept in files of its own, so that it is the same for a training that was interrupted within the epoch.
        """
        if self.config.diverged == "row" and self.progress.step == 0:
            self.states.save(self.progress, EPOCH)
        try:
            yield
        except Diverged as fault:
            if self.config.diverged == "error":
                raise
            print(f"{fault}\n  the stage ends with the weights from before epoch {fault.epoch}", flush=True)
            self.progress, self.diverged = self.states.load_epoch(), fault.epoch

    def _train_epoch(self, bar: tqdm, stop: StopRequest) -> None:
        progress, began = self.progress, time.monotonic() - self.progress.seconds
        trained = [member.network for member in self.members.trained.values()]
        self.active = start_epoch(trained, self.members.learners, len(self.config.turns), progress.epoch)
        batches = epoch_batches(len(self.clips), self.config.batch_size, self.config.seed, progress.epoch)
        sums = Sums(progress.sums, self.device, leads=self.processes.leads)
        rank, count = self.processes.rank, self.processes.count
        parts = [own_part(cut(keys, self.config.micro_batch_size), rank, count) for keys in batches[progress.step :]]
        loaded = iter(training_loader(self.clips, [one.keys for part in parts for one in part], self.workers))
        taken: Taken | None = None
        for part in parts:
            launched = self._step(part, loaded, sums)
            if taken is not None:
                taken.check_finite()
            taken = launched
            progress.step += 1
            bar.update()
            if self.processes.any(bool(stop)):
                taken.check_finite()
                progress.sums, progress.seconds = sums.as_dict(self.processes), time.monotonic() - began
                self.states.save(progress)
                asked = stop.signal_name or "a signal to another process"
                raise Stopped(f"{asked} at epoch {progress.epoch + 1}, step {progress.step}; state saved")
        if taken is not None:
            taken.check_finite()
        progress.sums, progress.seconds = sums.as_dict(self.processes), time.monotonic() - began
        self.states.save(progress)  # before the validation, which may take longer than a scheduler waits after SIGTERM

    def _step(self, part: Sequence[MicroBatch], loaded: Iterator[Batch], sums: Sums) -> Taken:
        """Take a step: the groups that this process has a part in, one after the other, then one update."""
        progress, video_ids, losses = self.progress, [], []
        measured: list[ClipSums] = []
        for index, micro in enumerate(part):
            batch = next(loaded)
            losses.append(self._gradients(micro, batch, sums, measured, last=index == len(part) - 1))
            video_ids += batch.video_ids
        settle(self.batch_norms, self.processes)
        for learner in self.active.values():
            learner.unscale()
        if self.objective.changes_gradients:
            networks = {name: self.networks[name] for name in self._learning}
            place = (self.config.seed, progress.epoch, self._position)
            self.objective.change_gradients(told_step(networks, measured, place, self.device, self.processes))
        factor = self._rate(self._position)
        for learner in self.active.values():
            learner.update(factor)
        names = list(losses[0])
        means = torch.stack([sum(one[name] for one in losses) for name in names])
        return Taken(progress.epoch, progress.step, names, self.processes.sum(means), video_ids)

    def _gradients(
        self, micro: MicroBatch, batch: Batch, sums: Sums, measured: list[ClipSums], *, last: bool
    ) -> dict[str, Tensor]:
        """Add the gradients of a group's clips, and return the losses' parts in those of the step."""
        # dropout; one of two stages, processes, or groups, must not drop what the other drops
        torch.manual_seed(micro.seed(self.config.seed, self._position))
        targets = batch.targets.to(self.device, non_blocking=True)
        predictions, taught = self._predict(batch, last=last)
        for module in self.batch_norms:
            module.gather(micro.group / micro.step)
        losses: Losses = self.objective(predictions, targets, taught)
        sums.add({name: losses[name] for name in self._learning}, predictions, targets)
        share = len(micro.keys) / micro.step
        totals = {name: total(losses[name]) * share for name in self._learning}
        # Losses are means over this process's clips, and torch takes the mean of the processes' gradients: together,
        # with these factors, that is the gradient of the mean over all clips of the step.
        # targets of mutual learning and teachers are detached, so one backward pass serves all networks
        scaled = [self._scaler(name).scale(loss * self.processes.count) for name, loss in totals.items()]
        torch.stack(scaled).sum().backward()
        if self.objective.changes_gradients:
            measured.append(self.objective.measured({name: predictions[name] for name in self._learning}, targets))
        return {name: loss.detach() for name, loss in totals.items()}

    @property
    def _position(self) -> int:
        """The number of the step that is taken, from 0."""
        return self.progress.epoch * self.steps + self.progress.step

    @property
    def _learning(self) -> list[str]:
        """Names of the networks of which something learns in this epoch."""
        return list(dict.fromkeys(learner.network for learner in self.active.values()))

    def _scaler(self, network: str) -> torch.amp.GradScaler:
        return next(learner.scaler for learner in self.active.values() if learner.network == network)

    def _rate(self, position: int) -> float:
        """Return the learning rate at a step relative to the first one."""
        factor = learning_rate_factor(self.config.schedule, position / self.steps, self.config.epochs)
        return factor * self.progress.plateau[0]

    def _predict(self, batch: Batch, *, last: bool) -> tuple[dict[str, Prediction], dict[str, Prediction]]:
        """Return the predictions of the trained networks and those of the teachers, by name."""
        levels = {name: values.to(self.device, non_blocking=True) for name, values in batch.inputs.items()}
        inputs = normalised_inputs(levels, {name: member.inputs for name, member in self.members.all.items()})
        learning, predictions = self._learning, {}
        with torch.autocast(self.device.type, dtype=self.half, enabled=self.half is not None):
            for name, model in self.models.items():
                if name in learning:
                    with gradients_kept(model, kept=not last):
                        predictions[name] = model(*inputs[name])
                else:
                    with torch.no_grad():
                        predictions[name] = self.networks[name](*inputs[name])
            with torch.no_grad():
                return predictions, {
                    name: teacher.network(*inputs[name]) for name, teacher in self.members.teachers.items()
                }

    def _close_epoch(self) -> None:
        progress, config = self.progress, self.config
        rate = self._rate(progress.epoch * self.steps)
        rates = {one.network: one.config.learning_rate * rate for one in self.active.values()}
        progress.epoch, progress.step = progress.epoch + 1, 0
        last = progress.epoch == config.epochs
        if config.diverged == "row":
            check_weights(progress.epoch, self.networks)
        validation = self.validate(self.networks) if last or progress.epoch % config.validate_every == 0 else {}
        if config.diverged == "row":
            check_validation(progress.epoch, validation)
        rows = epoch_rows(
            progress.epoch, progress.epoch * self.steps, progress.sums, rates, validation, progress.seconds
        )
        progress.history += rows
        if self.processes.leads:
            self.record(rows)
        if config.watches_validation:
            key = {"validation_loss": "validation_loss", "validation_accuracy": "validation_top1"}
            values = [one[key[config.schedule.monitor]] for one in validation.values()]
            progress.plateau = list(Plateau(*progress.plateau).after(sum(values) / len(values), config.schedule))
        progress.sums, progress.seconds = {}, 0.0
        self.states.save(progress)
