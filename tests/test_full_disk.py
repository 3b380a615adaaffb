"""Full disk, no permission, read-only folders, no locks: told clearly, nothing whole is lost, and the work goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import toy
from safetensors.torch import load_file
from video_files import make_videos

import mml_core.training.engine as engine
from mml_core.config.dataset import DatasetConfig, Limits, RgbModality
from mml_core.errors import InputError
from mml_core.io.files import write_text
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.plan.stages import Stage
from mml_core.runtime import devices, lock
from mml_core.runtime.cli import Stopped
from mml_core.training import job
from mml_core.training.job import StageFiles, train_stage
from mml_core.video.sources import VideoError, check_file

pytestmark = pytest.mark.stress

needs_root = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounts file systems, becomes another user: root"
)
_NOBODY = 65534
NO_SPACE = "No space left on device"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, mode: str) -> None:
    """Make the file system at `folder` read-only (`ro`) or writable (`rw`)."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


@contextmanager
def full(disk: Path, left: int = 0) -> Iterator[None]:
    """Fill `disk` up to `left` bytes for the duration of the block."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - left)
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user without rights for the duration of the block."""
    os.setresuid(_NOBODY, _NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that every user may enter, and only its owner change."""
    folder = Path(tempfile.mkdtemp(prefix="mml-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    make_videos(folder, train=3, validation=0)
    return {path.name: path for path in sorted(folder.glob("*.mp4"))}


def make_shard(videos: dict[str, Path], output: Path) -> bytes:
    make_rgb_shard(videos, "rgb", RgbModality(kind="rgb", short_side_px=32), Limits(), output, 2)
    return output.read_bytes()


SHARD_JOB = """
import json, sys
from pathlib import Path
from mml_core.runtime.cli import run
from mml_core.config.dataset import Limits, RgbModality
from mml_core.io.files import disk_faults_told
from mml_core.modalities.rgb import make_rgb_shard

def main():
    videos = {name: Path(path) for name, path in json.loads(sys.argv[1]).items()}
    with disk_faults_told(Path(sys.argv[2])):
        make_rgb_shard(videos, "rgb", RgbModality(kind="rgb", short_side_px=32), Limits(), Path(sys.argv[2]), 2)

run(main)
"""


@needs_root
@pytest.mark.parametrize("left", [0, 40_000])
def test_a_shard_on_a_full_disk(videos: dict[str, Path], small_disk: Path, tmp_path: Path, left: int) -> None:
    """In a process of its own, as in the workflow: HDF5 may crash later in one in which closing a file failed."""
    undisturbed = make_shard(videos, tmp_path / "a.h5")
    before = make_shard(videos, small_disk / "before.h5")
    assert len(undisturbed) > 25_000, "40_000 bytes hold what waits to be written, or the shard, not both"
    named = json.dumps({name: str(path) for name, path in videos.items()})
    with full(small_disk, left):
        command = [sys.executable, "-c", SHARD_JOB, named, str(small_disk / "a.h5")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 1, ended.stderr
        assert f"a.h5: {NO_SPACE}" in ended.stderr
        assert "Hint: the disk is full" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert [path.name for path in small_disk.iterdir()] == ["before.h5"], "nothing half is left"
    assert (small_disk / "before.h5").read_bytes() == before
    assert make_shard(videos, small_disk / "a.h5") == undisturbed


@needs_root
def test_a_script_names_file_cause_and_what_to_do(small_disk: Path, tmp_path: Path) -> None:
    """Also where the error comes from a file without a name, or from a library in C that has its text only."""
    program = tmp_path / "script.py"
    program.write_text(
        "import sys, tempfile, h5py, numpy\n"
        "from pathlib import Path\n"
        "from mml_core.runtime.cli import run\n"
        "from mml_core.io.files import disk_faults_told, replaced_on_success\n"
        "def spool():\n"
        "    with disk_faults_told(Path('results/a.h5')), tempfile.TemporaryFile(dir=sys.argv[2]) as file:\n"
        "        file.write(bytes(1 << 20))\n"
        "        file.flush()\n"
        "def shard():\n"
        "    with replaced_on_success(Path(sys.argv[2], 'a.h5')) as path, h5py.File(path, 'w') as file:\n"
        "        file['payload'] = numpy.zeros(1 << 20)\n"
        "def plain():\n"
        "    Path(sys.argv[2], 'a.h5').write_bytes(bytes(1 << 20))\n"
        "run({'spool': spool, 'shard': shard, 'plain': plain}[sys.argv[1]])\n"
    )
    with full(small_disk):
        for kind in ("spool", "shard", "plain"):
            command = [sys.executable, str(program), kind, str(small_disk)]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            assert ended.returncode == 1
            assert "Traceback" not in ended.stderr
            assert NO_SPACE in ended.stderr
            assert "Hint: the disk is full" in ended.stderr
            assert kind == "plain" or "a.h5: " in ended.stderr


@pytest.fixture(scope="module")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetConfig, Path]:
    folder = tmp_path_factory.mktemp("toy")
    return toy.make_dataset(folder), folder / "shards"


@pytest.fixture
def stage(toy_data: tuple[DatasetConfig, Path]) -> Stage:
    return toy.plan(toy_data[0], {"ce": {"networks": {"rgb": toy.RGB}}})["ce"]


Train = Callable[[Path], Path]


@pytest.fixture
def train(stage: Stage, toy_data: tuple[DatasetConfig, Path]) -> Train:
    """What trains with all files in a folder and returns that of the weights."""
    dataset, shards = toy_data

    def run(folder: Path) -> Path:
        where = StageFiles(
            shards=shards,
            first_weights={},
            weights=folder / "weights.safetensors",
            history=folder / "history.csv",
            config=folder / "config.json",
            state=folder / "state",
        )
        train_stage(stage.document, toy.data_plan(dataset), where, device=torch.device("cpu"), workers=0, code="")
        return where.weights

    return run


def same(first: Path, second: Path) -> bool:
    one, two = load_file(first), load_file(second)
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@contextmanager
def stopped_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a training save its state and stop after `steps` steps."""

    class Stop:
        signal_name = "SIGTERM"
        left = steps

        def __enter__(self) -> Stop:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __bool__(self) -> bool:
            self.left -= 1
            return self.left < 1

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(engine, "stop_on_signals", lambda **_: Stop())
        yield


@needs_root
def test_a_state_that_does_not_fit(
    train: Train, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = train(tmp_path / "undisturbed")
    with stopped_after(2, monkeypatch):
        train(small_disk)
    state = small_disk / "state/state.safetensors"
    saved = state.read_bytes()
    for left in (0, len(saved) // 2):
        with full(small_disk, left), pytest.raises(InputError, match=NO_SPACE) as caught:
            train(small_disk)
        assert caught.value.file is not None
        assert state.read_bytes() == saved, "the state before is still there"
        assert [path.name for path in state.parent.iterdir()] == [state.name]
    assert same(train(small_disk), undisturbed)


@needs_root
def test_weights_that_do_not_fit(
    train: Train,
    small_disk: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    undisturbed = train(tmp_path / "undisturbed")
    write_weights = job.write_weights

    def on_a_full_disk(path: Path, *arguments: object) -> None:
        with full(small_disk, 20_000):
            write_weights(path, *arguments)

    with monkeypatch.context() as patch, pytest.raises(InputError, match=NO_SPACE) as caught:
        patch.setattr(job, "write_weights", on_a_full_disk)
        train(small_disk)
    assert "weights.safetensors" in str(caught.value)
    assert not list(small_disk.glob("weights*"))
    assert (small_disk / "state/state.safetensors").exists()
    capsys.readouterr()
    assert same(train(small_disk), undisturbed)
    assert "going on at epoch 3" in capsys.readouterr().out, "all epochs were done: nothing is trained twice"


@needs_root
def test_a_read_only_output_folder(train: Train, small_disk: Path) -> None:
    remount(small_disk, "ro")
    with pytest.raises((InputError, OSError), match="Read-only file system"):
        train(small_disk)
    with pytest.raises(InputError, match=r"a\.json.*Read-only file system") as caught:
        write_text(small_disk / "a.json", "{}")
    assert "Hint: the file system is read-only" in str(caught.value)
    remount(small_disk, "rw")
    assert train(small_disk).exists()


@needs_root
def test_read_only_inputs_are_enough(
    videos: dict[str, Path], toy_data: tuple[DatasetConfig, Path], stage: Stage, small_disk: Path, tmp_path: Path
) -> None:
    inputs = {name: Path(shutil.copy(path, small_disk)) for name, path in videos.items()}
    shards = small_disk / "shards"
    shutil.copytree(toy_data[1], shards)
    remount(small_disk, "ro")
    assert make_shard(inputs, tmp_path / "a.h5") == make_shard(videos, tmp_path / "b.h5")
    where = StageFiles(
        shards, {}, tmp_path / "weights.safetensors", tmp_path / "h.csv", tmp_path / "c.json", tmp_path / "state"
    )
    train_stage(stage.document, toy.data_plan(toy_data[0]), where, device=torch.device("cpu"), workers=0, code="")
    assert where.weights.exists()


@needs_root
def test_no_permission_for_the_output_folder(videos: dict[str, Path], shared_folder: Path) -> None:
    inputs = {name: Path(shutil.copy(path, shared_folder)) for name, path in videos.items()}
    output = shared_folder / "results/a.h5"
    with as_nobody(), pytest.raises(OSError, match=r"Permission denied.*results"):
        make_shard(inputs, output)
    with as_nobody(), pytest.raises(InputError, match=r"results.*: Permission denied") as caught:
        write_text(shared_folder / "results/a.json", "{}")
    assert "Hint: give this user the right" in str(caught.value)
    output.parent.mkdir()
    os.chown(output.parent, _NOBODY, _NOBODY)
    with as_nobody():
        assert make_shard(inputs, output)


@needs_root
def test_a_video_that_may_not_be_read_is_no_bad_video(videos: dict[str, Path], shared_folder: Path) -> None:
    """Quarantined, it would be missing from the shard also after it became readable."""
    inputs = {name: Path(shutil.copy(path, shared_folder)) for name, path in videos.items()}
    output = shared_folder / "results/a.h5"
    output.parent.mkdir()
    os.chown(output.parent, _NOBODY, _NOBODY)
    secret = next(iter(inputs.values()))
    secret.chmod(0)
    with as_nobody(), pytest.raises(InputError, match=f"{secret.name}: Permission denied"):
        make_shard(inputs, output)
    assert list(output.parent.iterdir()) == []
    secret.chmod(0o644)
    with as_nobody():
        after = make_shard(inputs, output)
    assert after == make_shard(videos, shared_folder / "b.h5")
    with pytest.raises(VideoError, match="no such file"):
        check_file(shared_folder / "missing.mp4")


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks."""

    def refuse(_file: object, _operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_training_goes_on_without_locks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with lock.exclusive(tmp_path / "state"):
        said = capsys.readouterr().out
    assert "state.lock: this file system has no locks" in said
    assert "Hint: run one snakemake at a time" in said


@pytest.mark.usefixtures("no_locks")
def test_gpus_are_not_shared_for_want_of_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpu_identifiers", lambda: ["GPU-a", "GPU-b"])
    monkeypatch.setattr(devices, "lease_folder", lambda: tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    told = pytest.raises(InputError, match=r"local-GPU-a\.lock: this file system has no locks")
    with told as caught, devices.lease_gpus(1):
        pass
    assert "TMPDIR" in str(caught.value)
