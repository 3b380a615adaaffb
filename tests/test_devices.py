"""GPU leases, with a stand-in for the driver's program, and real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mml_core.errors import InputError
from mml_core.runtime.compute import prepare_compute
from mml_core.runtime.devices import gpu_identifiers, lease_gpus

pytestmark = pytest.mark.stress

HOLDER = """
import sys, time
from mml_core.runtime.devices import lease_gpus
with lease_gpus(1, poll_sec=0.05) as devices:
    print(*devices, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nvidia-smi tells of two GPUs, and no scheduler."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf 'GPU-a\\nGPU-b\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def replace_nvidia_smi(folder: Path, script: str) -> None:
    (folder / "bin" / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")


def hold() -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    return subprocess.Popen([sys.executable, "-c", HOLDER], **pipes)


def device_of(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip()


@pytest.mark.usefixtures("two_gpus")
def test_two_processes_get_two_gpus_and_a_third_waits() -> None:
    first, second = hold(), hold()
    assert {device_of(first), device_of(second)} == {"GPU-a", "GPU-b"}
    third = hold()
    time.sleep(0.5)
    assert third.poll() is None, "it must wait, not fail"
    first.send_signal(signal.SIGKILL)  # a lease goes with its process, however that ends
    assert device_of(third) in {"GPU-a", "GPU-b"}
    for process in (first, second, third):
        process.communicate("")


@pytest.mark.usefixtures("two_gpus")
def test_the_variable_is_set_inside_and_gone_after() -> None:
    with lease_gpus(2) as devices:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b" == ",".join(devices)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.usefixtures("two_gpus")
def test_a_choice_from_outside_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b")
    with lease_gpus(1) as devices:
        assert devices == ["GPU-b"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with lease_gpus(1) as devices:
        assert devices == []


@pytest.mark.usefixtures("two_gpus")
def test_what_a_scheduler_assigned_is_taken_without_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with lease_gpus(1) as outer, lease_gpus(1) as inner:
        assert outer == inner == ["0"]


@pytest.mark.usefixtures("two_gpus")
def test_more_gpus_than_there_are_is_an_error() -> None:
    with pytest.raises(InputError, match="3 GPUs asked for, 2 are visible"), lease_gpus(3):
        pass


@pytest.mark.usefixtures("two_gpus")
def test_no_gpu_is_an_error_and_no_wait_without_end() -> None:
    with pytest.raises(InputError, match="0 GPUs asked for"), prepare_compute(1, "auto", gpus=0):
        pass


def test_a_machine_without_the_driver_has_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_identifiers() == []


@pytest.mark.usefixtures("two_gpus")
def test_a_lost_gpu_is_an_error_and_no_silent_run_on_the_cpu(tmp_path: Path) -> None:
    replace_nvidia_smi(tmp_path, "echo 'Unable to determine the device handle for GPU 0: GPU is lost.'; exit 15")
    with pytest.raises(InputError, match=r"(?s)GPU is lost.*Hint: restart the machine"), prepare_compute(1, "auto"):
        pass


@pytest.mark.usefixtures("two_gpus")
def test_a_driver_that_finds_no_gpu_has_none(tmp_path: Path) -> None:
    replace_nvidia_smi(tmp_path, "echo 'No devices were found'; exit 6")
    assert gpu_identifiers() == []


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a torch that finds no GPU")
def test_a_gpu_that_torch_cannot_use_is_a_warning_for_training_and_an_error_for_flow(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with prepare_compute(1, "auto") as compute:
        assert compute.device.type == "cpu"
    assert "WARNING: torch cannot use this GPU" in capsys.readouterr().out
    with pytest.raises(InputError, match="GPU-a, and torch cannot use it"):
        prepare_compute(1, "auto", may_fall_back=False).__enter__()
    with pytest.raises(InputError, match="no usable GPU"):
        prepare_compute(1, "cuda").__enter__()


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("before", [None, "GPU-b"])
def test_a_process_is_afterwards_as_it_was(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    threads = torch.get_num_threads()
    for device in ("cpu", "auto"):
        with prepare_compute(threads + 2, device):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == ("" if device == "cpu" else before or "GPU-a")
        assert (os.environ.get("CUDA_VISIBLE_DEVICES"), torch.get_num_threads()) == (before, threads)
