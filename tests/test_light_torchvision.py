"""torch and torchvision without torch's compiler: what is imported, and that all of them work afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WORKS = """
import torch, torchvision
boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
found = torchvision.ops.roi_align(torch.ones(1, 2, 8, 8), [boxes], 2)
assert torchvision.__version__ and found.eq(1).all()
assert torch._dynamo.utils.is_compile_supported("cpu") is True  # the real one, of torch's own accord
torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1).step()
"""

LEARNS = """
import sys, torch
import mml_core.networks
from pathlib import Path
from mml_core.config.learning import AdamConfig, AdamWConfig, SgdConfig
from mml_core.networks.cost import gflops_per_clip
from mml_core.training.learners import Learner, make_optimizer
from mml_core.training.state import Progress, load_state, save_state

def learner(config):
    torch.manual_seed(0)
    network = torch.nn.Linear(2, 1)
    groups = [{"params": list(network.parameters()), "lr": 0.1, "lr_scale": 1.0}]
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return network, Learner("n", network, ("",), (), config, make_optimizer(config, groups), scaler)

assert gflops_per_clip(torch.nn.Linear(3, 2), (1, 1, 1, 3)) == 6e-9
for config in (SgdConfig(momentum=0.9), AdamConfig(kind="adam"), AdamWConfig(kind="adamw")):
    (network, first), (other, second) = learner(config), learner(config)
    network(torch.ones(1, 2)).sum().backward()
    first.update(1.0)
    assert network.weight.grad is None and not network.weight.equal(other.weight)
    save_state(Path(sys.argv[1]), "f", Progress(), {"n": network}, {"n": first})
    load_state(Path(sys.argv[1]), "f", {"n": other}, {"n": second})
    assert network.weight.equal(other.weight) and len(second.optimizer.state) == 2
assert not [name for name in sys.modules if name.startswith("torch._dynamo")]
"""


def run(program: str, path: str = "", *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, env={**os.environ, "PYTHONPATH": path})


@pytest.mark.parametrize("module", ["networks", "training.job", "evaluation.job"])
def test_networks_are_imported_without_the_compiler_which_is_there_when_it_is_asked_for(
    project: Path, module: str
) -> None:
    absent = "assert not [name for name in sys.modules if name.startswith('torch._dynamo') or name == 'triton']"
    run(f"import sys, mml_core.{module}\n{absent}\n{WORKS}", str(project))


def test_a_torchvision_that_asks_for_more_of_the_compiler_gets_it(project: Path, tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    asked = "from torch._dynamo.utils import counters, is_compile_supported\n"
    (tmp_path / "torchvision" / "__init__.py").write_text(asked)
    shutil.copy(project / "mml_core" / "runtime" / "light_torchvision.py", tmp_path / "light.py")
    program = (
        "import sys, light, torchvision; assert torchvision.counters is sys.modules['torch._dynamo.utils'].counters"
    )
    run(program, str(tmp_path))


def test_steps_states_and_costs_do_not_bring_in_the_compiler(project: Path, tmp_path: Path) -> None:
    run(LEARNS, str(project), str(tmp_path))


def test_what_the_stand_in_has_not_is_the_compilers(project: Path) -> None:
    program = """
import sys
from mml_core.runtime.compiler import compiler_stand_in
with compiler_stand_in():
    import torch._dynamo
    assert torch._dynamo.disable(len) is len and torch._dynamo.graph_break() is None
    assert "torch._dynamo.eval_frame" not in sys.modules
    assert callable(torch._dynamo.optimize)
assert "torch._dynamo.eval_frame" in sys.modules
with compiler_stand_in():
    assert torch._dynamo.disable(len) is not len
"""
    run(program, str(project))
