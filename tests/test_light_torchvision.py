"""torchvision without torch's compiler: what is imported, and that both work afterwards."""

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


def run(program: str, path: str = "") -> None:
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": path})


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
