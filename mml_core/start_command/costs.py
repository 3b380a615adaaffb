"""What a run takes here at each of the ready scales: time, and the memory of its largest training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.recipe import load_recipe
from mml_core.evaluation.markdown import pad_columns
from mml_core.plan.run import RunPlan
from mml_core.plan.stages import DataPlan, plan_runs
from mml_core.run_command.expected import Costs, whole_sec
from mml_core.run_command.text import span
from mml_core.start_command.files import as_yaml


class ScaleCost(NamedTuple):
    """What a run takes at a scale where nothing is there yet."""

    parts_sec: Mapping[str, float]  # by what takes them
    memory_gb: float  # of the training that takes the most

    @property
    def total_sec(self) -> float:
        """All of it in seconds."""
        return sum(self.parts_sec.values())


def scale_cost(costs: Costs) -> ScaleCost:
    """Return what the run of `costs` takes."""
    return ScaleCost(whole_sec(costs), max((one.gb for one in costs.jobs.memory.values()), default=0.0))


def plan_at_scale(written: RunPlan, dataset: Mapping[str, Any], recipe: Mapping[str, Any], root: Path) -> RunPlan:
    """Return the run `written` with the files of another scale, which are not written.

    Annotations are not read again. `root` is the checkout, whose recipes `recipe` extends.
    """
    name = written.project.dataset
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{name}.yaml")
        file.write_text(as_yaml(recipe, []), encoding="utf-8")
        at_scale = load_recipe(file, root / "config" / "recipes")
    planned = DataPlan(validate(DatasetConfig, {"name": name, **dataset}, file), written.data.annotations)
    runs = plan_runs(planned, at_scale, file, {name: planned})
    return replace(written, data=planned, all_data={name: planned}, recipes={name: at_scale}, runs={name: runs})


def costs_text(costs: Mapping[str, ScaleCost], written: str) -> str:
    """Return what a run takes at each scale as a Markdown table, with the parts of that which is `written`."""
    rows = [
        [f"{name} (written)" if name == written else name, f"about {span(one.total_sec)}", f"{one.memory_gb:.1f}"]
        for name, one in costs.items()
    ]
    parts = ", ".join(f"{what} {span(seconds)}" for what, seconds in costs[written].parts_sec.items())
    table = "\n".join(pad_columns([["Scale", "All of a run", "Memory, GB"], *rows]))
    return f"{table}\n\n{written}: {parts}. Memory is that of the largest training, as `mml cost` estimates it."
