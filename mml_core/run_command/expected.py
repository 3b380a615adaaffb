"""What jobs are expected to take on this machine: training and scoring as `mml cost` reckons, the rest by the frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mml_core.config.dataset import FlowModality
from mml_core.config.flow import Tvl1
from mml_core.cost.counts import Counted, Counts
from mml_core.cost.hours import Jobs, Prices, price_jobs
from mml_core.cost.machine import Machine
from mml_core.cost.needs import joined, needed_tables
from mml_core.cost.sketch import forward_gflops
from mml_core.plan.products import ScoreFile
from mml_core.plan.run import RunPlan
from mml_core.plan.stages import DataPlan
from mml_core.run_command.events import Job
from mml_core.run_command.progress import Expected

#: Frames a second of one core at 256 pixels a side (README), by kind of modality; flow is TV-L1 at its defaults.
_FRAMES_PER_SEC = {"rgb": 1190.0, "flow": 14.2, "diff": 578.0}
_OTHER_FRAMES_PER_SEC = 200.0
_RATED_PX = 256
#: Frames of a video before any was looked at.
USUAL_FRAMES = 120.0
#: Threads that a job takes at most, as in rules/.
_SHARD_THREADS = 4
#: How many of these make tables and pages of a recipe.
_PAGES = 7
#: Jobs that compute little: start of Python, its imports, and some files.
_SMALL_SEC = 6.0


@dataclass(frozen=True)
class Costs:
    """Hours of stages and scores of a run on this machine, with what they are hours of."""

    plan: RunPlan
    jobs: Jobs
    machine: Machine
    frames: float  # of a video


def run_costs(plan: RunPlan, machine: Machine, root: Path, frames: float = USUAL_FRAMES) -> Costs:
    """Return what stages and scores of `plan` take on `machine`; `root` is the checkout, which has published values.

    frames: of a video, on average.
    """
    splits = ("train", "validation", "test")
    counted = {
        name: Counted(data, Counts({split: len(data.videos(split)) for split in splits}, len(data.annotations.classes)))
        for name, data in plan.all_data.items()
    }
    tables = []
    for name, recipe in plan.recipes.items():
        file = Path("config/recipes") / f"{name}.yaml"
        tables += needed_tables(recipe, plan.runs[name], file=file, root=root)
    return Costs(plan, price_jobs(joined(tables), counted, Prices(machine.rates), forward_gflops), machine, frames)


def expected(costs: Costs, job: Job) -> Expected:
    """Return what `job` is expected to take."""
    wildcards = dict(job.wildcards)
    match job.rule:
        case "train_stage":
            found = costs.jobs.stages.get(wildcards["stage"])
            return Expected("network", _SMALL_SEC + costs.machine.seconds(found.total) if found else _SMALL_SEC)
        case "score_stage":
            file = ScoreFile(wildcards["dataset"], wildcards["stage"], wildcards["split"], wildcards["protocol"])
            found = costs.jobs.scores.get(file)
            return Expected("network", _SMALL_SEC + costs.machine.seconds(found.total) if found else _SMALL_SEC)
        case "make_rgb_shard" | "make_derived_shard":
            modality = wildcards["modality"].rpartition("-")[0]
            data = costs.plan.all_data[wildcards["dataset"]]
            return Expected(f"shard {modality}", _shard_sec(costs, data, modality, wildcards["shard"]))
        case _:
            return Expected("small", _SMALL_SEC)


def whole_sec(costs: Costs) -> dict[str, float]:
    """Return the seconds that everything takes where nothing is there yet, by what takes them."""
    machine = costs.machine
    stages = [stage for runs in costs.plan.runs.values() for run in runs for stage in run.values()]
    found = {"decoding and making modalities": 0.0}
    for name, data in costs.plan.all_data.items():
        read = {
            modality for stage in stages if stage.document.dataset == name for modality in stage.document.modalities
        }
        for modality in sorted(filter(data.config.is_stored, read | {data.config.rgb_name})):
            found["decoding and making modalities"] += sum(
                _shard_sec(costs, data, modality, shard) for shard in data.shards
            )
    found["training"] = (
        sum(_SMALL_SEC + machine.seconds(hours.total) for hours in costs.jobs.stages.values()) / machine.jobs
    )
    found["scoring and tables"] = (
        sum(_SMALL_SEC + machine.seconds(hours.total) for hours in costs.jobs.scores.values()) / machine.jobs
        + _PAGES * _SMALL_SEC
    )
    return found


def _shard_sec(costs: Costs, data: DataPlan, modality: str, shard: str) -> float:
    settings = data.config.modalities[modality]
    side = data.config.modalities[data.config.rgb_name].short_side_px
    rate = _FRAMES_PER_SEC.get(settings.kind, _OTHER_FRAMES_PER_SEC)
    if isinstance(settings, FlowModality):
        rate = rate / tvl1_work(settings.algorithm) if isinstance(settings.algorithm, Tvl1) else _OTHER_FRAMES_PER_SEC
    if settings.kind != "rgb":  # decoding depends on the video's own size, all else on that of the frames made of it
        rate *= (_RATED_PX / side) ** 2
    frames = len(data.shards[shard]) * costs.frames
    return _SMALL_SEC + frames / rate / min(costs.machine.cores, _SHARD_THREADS)


def tvl1_work(algorithm: Tvl1) -> float:
    """Return how many times the work of TV-L1 at its defaults `algorithm` takes, by iterations times pixels at most."""

    def work(one: Tvl1) -> float:
        pixels = sum(one.scale_step ** (2 * level) for level in range(one.scales))
        return pixels * one.warps * one.inner_iterations * one.outer_iterations

    return work(algorithm) / work(Tvl1())
