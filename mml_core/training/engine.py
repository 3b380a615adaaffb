"""The training loop: any number of networks on the same clips, one objective, exact resume.

Randomness is a function of the stage's seed and the position: clips draw from (seed, epoch, clip), dropout from
(seed, step). An interrupted run that goes on from its state therefore takes the very steps of an undisturbed one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from mml_core.clips import Batch, TrainingClips, epoch_batches, normalise, training_loader
from mml_core.config.stage import StageConfig
from mml_core.errors import InputError
from mml_core.networks import Prediction
from mml_core.objectives import Losses
from mml_core.runtime.cli import Stopped
from mml_core.training.processes import ALONE, Processes
from mml_core.training.schedule import learning_rate_factor
from mml_core.training.state import Progress, load_state, save_state
from mml_core.training.stop import StopRequest, stop_on_signals

#: network -> share of validation videos whose best class is right, in percent
Validate = Callable[[Mapping[str, nn.Module]], dict[str, float]]
#: Between the seeds of two processes of a step; no two stages' seeds differ by it.
_SEED_STRIDE = 0x1D3_5AB1_0000_0001
#: takes the history's rows of an epoch that ended, one a network
Record = Callable[[list[dict[str, Any]]], None]


@dataclass(frozen=True)
class Trainee:
    """A network of the stage with what trains it."""

    network: nn.Module
    optimizer: torch.optim.SGD
    scaler: torch.amp.GradScaler
    modality: str
    kind: str  # of the modality: rgb, flow or diff


@dataclass(frozen=True)
class Teacher:
    """A frozen network of the stage: it predicts as in testing and is left as it is."""

    network: nn.Module
    modality: str
    kind: str  # of the modality: rgb, flow or diff


@dataclass(frozen=True)
class _Taken:
    """A step that was launched, and whose losses are looked at once the next one is under way."""

    epoch: int
    step: int
    losses: Tensor  # (networks,), means over the clips of all processes
    video_ids: list[str]  # of this process


class Trainer:
    """Trains the networks of one stage. Make one, call `run` once."""

    def __init__(
        self,
        trainees: Mapping[str, Trainee],
        objective: nn.Module,
        config: StageConfig,
        clips: TrainingClips,
        validate: Validate,
        record: Record,
        *,
        teachers: Sequence[Teacher] = (),
        state_folder: Path,
        fingerprint: str,
        device: torch.device,
        workers: int,
        processes: Processes = ALONE,
    ) -> None:
        self.trainees, self.objective, self.config, self.clips = trainees, objective, config, clips
        self.validate, self.record, self.device, self.workers = validate, record, device, workers
        self.teachers = teachers
        self.state_folder, self.fingerprint = state_folder, fingerprint
        self.steps = len(epoch_batches(len(clips), config.batch_size, config.seed, 0))
        self.mixed = config.precision == "mixed" and device.type == "cuda"
        self.progress = Progress()
        self.processes = processes
        if processes.count > (clips_a_step := min(config.batch_size, len(clips))):
            raise InputError(
                f"{processes.count} processes cannot share steps of {clips_a_step} clips", hint="lower the stage's gpus"
            )
        self.models = {
            name: processes.together(trainee.network, synchronised=config.sync_batch_norm)
            for name, trainee in trainees.items()
        }

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return {name: trainee.network for name, trainee in self.trainees.items()}

    def run(self) -> list[dict[str, Any]]:
        """Train from the saved state, or the beginning, to the last epoch; return the history.

        Raises Stopped after saving the state where SIGTERM or SIGINT came, and InputError where a loss is not finite.
        """
        self._restore()
        total, done = self.config.epochs * self.steps, self.progress.epoch * self.steps + self.progress.step
        with (
            stop_on_signals(patient=self.processes.count > 1) as stop,
            deterministic(),
            tqdm(
                total=total,
                initial=done,
                unit="step",
                desc="training",
                mininterval=5,
                smoothing=0.05,
                disable=not self.processes.leads,
            ) as bar,
        ):
            while self.progress.epoch < self.config.epochs:
                self._train_epoch(bar, stop)
                self._close_epoch()
        return self.progress.history

    def _restore(self) -> None:
        optimizers = {name: trainee.optimizer for name, trainee in self.trainees.items()}
        progress, message = load_state(self.state_folder, self.fingerprint, self.networks, optimizers)
        print(message, flush=True)
        if not self.processes.all_equal(0 if progress is None else 1 + progress.epoch * self.steps + progress.step):
            raise InputError(
                "processes that train together read different states of the unfinished training",
                file=self.state_folder,
                hint="all of them must see the same folder of results",
            )
        if progress is None:
            return
        self.progress = progress
        for name, scale in progress.scales.items():
            self.trainees[name].scaler.load_state_dict(scale)

    def save(self) -> None:
        """Write the state to its folder; all processes at the same step."""
        self.progress.scales = {name: trainee.scaler.state_dict() for name, trainee in self.trainees.items()}
        optimizers = {name: trainee.optimizer for name, trainee in self.trainees.items()}
        if self.processes.leads:
            save_state(self.state_folder, self.fingerprint, self.progress, self.networks, optimizers)
        self.processes.wait()  # a process that ended earlier would have the others ended

    def _train_epoch(self, bar: tqdm, stop: StopRequest) -> None:
        progress, began = self.progress, time.monotonic() - self.progress.seconds
        batches = epoch_batches(len(self.clips), self.config.batch_size, self.config.seed, progress.epoch)
        sums = _Sums(progress.sums if self.processes.leads else {}, list(self.trainees), self.device)
        shares = [list(self.processes.share(keys)) for keys in batches[progress.step :]]
        for model in self.models.values():
            model.train()
        taken: _Taken | None = None
        for batch in training_loader(self.clips, shares, self.workers):
            launched = self._step(batch, len(batches[progress.step]), sums)
            if taken is not None:
                self._check_finite(taken)
            taken = launched
            progress.step += 1
            bar.update()
            if self.processes.any(bool(stop)):
                self._check_finite(taken)
                progress.sums, progress.seconds = sums.as_dict(self.processes), time.monotonic() - began
                self.save()
                asked = stop.signal_name or "a signal to another process"
                raise Stopped(f"{asked} at epoch {progress.epoch + 1}, step {progress.step}; state saved")
        if taken is not None:
            self._check_finite(taken)
        progress.sums, progress.seconds = sums.as_dict(self.processes), time.monotonic() - began
        self.save()  # before the validation, which may take longer than a scheduler waits after SIGTERM

    def _step(self, batch: Batch, clips: int, sums: _Sums) -> _Taken:
        """Take a step of `clips` clips, of which `batch` is this process's share."""
        progress, config = self.progress, self.config
        position = progress.epoch * self.steps + progress.step
        # dropout; one of two processes must not drop what the other drops
        torch.manual_seed(((config.seed << 32) + position + self.processes.rank * _SEED_STRIDE) % 2**64)
        share = len(batch.video_ids) / clips
        targets = batch.targets.to(self.device, non_blocking=True)
        predictions, taught = self._predict(batch)
        losses: Losses = self.objective(predictions, targets, taught)
        # targets of mutual learning and teachers are detached, so one backward pass serves all networks
        # Losses are means over the share, and torch takes the mean of the processes' gradients: together, with this
        # factor (1 for equal shares), that is the gradient of the mean over all clips.
        factor = share * self.processes.count
        scaled = [t.scaler.scale(loss * factor) for t, loss in zip(self.trainees.values(), losses.totals, strict=True)]
        torch.stack(scaled).sum().backward()
        rate = learning_rate_factor(config.schedule, position / self.steps, config.epochs)
        for trainee in self.trainees.values():
            self._update(trainee, rate)
        sums.add(losses, predictions, targets)
        totals = self.processes.sum(torch.stack([loss.detach() for loss in losses.totals]) * share)
        return _Taken(progress.epoch, progress.step, totals, batch.video_ids)

    def _predict(self, batch: Batch) -> tuple[list[Prediction], list[Prediction]]:
        """Return the predictions of the trained networks and those of the teachers."""
        kinds = {member.modality: member.kind for member in (*self.trainees.values(), *self.teachers)}
        inputs = {
            modality: normalise(batch.inputs[modality].to(self.device, non_blocking=True), kind)
            for modality, kind in kinds.items()
        }
        with torch.autocast(self.device.type, dtype=torch.float16, enabled=self.mixed):
            predictions = [self.models[name](inputs[trainee.modality]) for name, trainee in self.trainees.items()]
            with torch.no_grad():
                return predictions, [teacher.network(inputs[teacher.modality]) for teacher in self.teachers]

    def _update(self, trainee: Trainee, factor: float) -> None:
        for group in trainee.optimizer.param_groups:
            group["lr"] = self.config.optimizer.learning_rate * factor * group["lr_scale"]
        trainee.scaler.unscale_(trainee.optimizer)
        if self.config.optimizer.clip_norm is not None:
            clip_grad_norm_(trainee.network.parameters(), self.config.optimizer.clip_norm)
        trainee.scaler.step(trainee.optimizer)
        trainee.scaler.update()
        trainee.optimizer.zero_grad(set_to_none=True)

    def _check_finite(self, taken: _Taken) -> None:
        losses = taken.losses.tolist()
        if all(math.isfinite(loss) for loss in losses):
            return
        bad = [f"{name} {loss}" for name, loss in zip(self.trainees, losses, strict=True) if not math.isfinite(loss)]
        raise InputError(
            f"the loss is not finite at epoch {taken.epoch + 1}, step {taken.step + 1} ({', '.join(bad)}); "
            f"videos of the batch: {', '.join(taken.video_ids)}",
            hint="lower optimizer.learning_rate, set optimizer.clip_norm or schedule.warmup_epochs, "
            "or look at these videos",
        )

    def _close_epoch(self) -> None:
        progress, config = self.progress, self.config
        progress.epoch, progress.step = progress.epoch + 1, 0
        last = progress.epoch == config.epochs
        scores = self._validate() if last or progress.epoch % config.validate_every == 0 else {}
        factor = learning_rate_factor(config.schedule, progress.epoch - 1, config.epochs)
        for name, sums in progress.sums.items():
            clips = sums["clips"]
            means = {key: value / clips for key, value in sums.items() if key != "clips"}
            progress.history.append(
                {
                    "epoch": progress.epoch,
                    "step": progress.epoch * self.steps,
                    "network": name,
                    "learning_rate": config.optimizer.learning_rate * factor,
                    **{key: round(value, 6) for key, value in means.items()},
                    "validation_top1": round(scores[name], 4) if name in scores else None,
                    "seconds": round(progress.seconds, 2),
                }
            )
        if self.processes.leads:
            self.record(progress.history[-len(progress.sums) :])
        progress.sums, progress.seconds = {}, 0.0
        self.save()

    def _validate(self) -> dict[str, float]:
        if not self.config.sync_batch_norm:
            for network in self.networks.values():
                self.processes.spread_buffers(network)
        return self.validate(self.networks)


class _Sums:
    """Sums over the epoch's clips, a network at a time, kept on the device so that adding to them waits for nothing."""

    PARTS = ("cross_entropy", "divergence", "distillation")
    KEYS = ("clips", "loss", *PARTS, "train_top1")

    def __init__(self, saved: Mapping[str, Mapping[str, float]], networks: Sequence[str], device: torch.device) -> None:
        start = [[saved.get(name, {}).get(key, 0.0) for key in self.KEYS] for name in networks]
        self.networks, self.values = networks, torch.tensor(start, dtype=torch.float64, device=device)

    def add(self, losses: Losses, predictions: Sequence[Prediction], targets: Tensor) -> None:
        """Add a batch: losses are means over its clips, `targets` class indices (B,) or several labels (B, N)."""
        clips = len(targets)
        rows = []
        for total, parts, prediction in zip(losses.totals, losses.parts, predictions, strict=True):
            zero = torch.zeros_like(total)
            right = (prediction.logits.argmax(1) == targets).double().mean() * 100 if targets.ndim == 1 else zero
            row = [torch.ones_like(total), total, *(parts.get(key, zero) for key in self.PARTS), right]
            rows.append(torch.stack([value.detach().double() for value in row]) * clips)
        self.values += torch.stack(rows)

    def as_dict(self, processes: Processes) -> dict[str, dict[str, float]]:
        """Return the sums over all processes by network and quantity."""
        values = processes.sum(self.values.clone()).tolist()
        return {name: dict(zip(self.KEYS, row, strict=True)) for name, row in zip(self.networks, values, strict=True)}


@contextmanager
def deterministic() -> Iterator[None]:
    """Ask for kernels that give the same bits in every run, for the duration of the block."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before
