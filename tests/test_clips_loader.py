from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from clips_store import make_stores

from mml_core.clips import (
    Batch,
    EvaluationClips,
    FlipPolicy,
    Sample,
    TrainingClips,
    epoch_batches,
    evaluation_loader,
    training_loader,
)
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig

KINDS = ("rgb", "flow", "diff")
CLIP = ClipConfig(frames=4, crop_px=32)
SAMPLES = [Sample(f"v{i}", (i % 3,)) for i in range(10)]
STORES = make_stores({sample.video_id: 8 + i for i, sample in enumerate(SAMPLES)}, KINDS)


@pytest.fixture
def training() -> TrainingClips:
    flip = FlipPolicy(0.5, (1, 0, 2))
    return TrainingClips(STORES, SAMPLES, CLIP, class_count=3, multi_label=False, flip=flip, seed=0)


@pytest.fixture
def evaluation() -> EvaluationClips:
    protocol = ProtocolConfig(dense=1, uniform=1)
    return EvaluationClips(STORES, SAMPLES, CLIP, protocol, class_count=3, multi_label=False)


def assert_same(one: list[Batch], other: list[Batch]) -> None:
    assert [batch.video_ids for batch in one] == [batch.video_ids for batch in other]
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.targets, b.targets)
        assert all(torch.equal(a.inputs[kind], b.inputs[kind]) for kind in KINDS)


def test_batches_do_not_depend_on_the_number_of_workers(training: TrainingClips, evaluation: EvaluationClips) -> None:
    batches = epoch_batches(10, 3, 0, 1)
    assert_same(list(training_loader(training, batches, 0)), list(training_loader(training, batches, 2)))
    assert_same(list(evaluation_loader(evaluation, 8, 0)), list(evaluation_loader(evaluation, 8, 2)))


def run_with_mounts(mounts: str, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a mount namespace of its own, after the shell's command `mounts`."""
    setting = f'{mounts} && exec "$@"'
    command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", setting, "sh"]
    if sys.platform != "linux" or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("cannot mount anything here")
    return subprocess.run(
        [*command, sys.executable, "-c", program, *arguments],
        cwd=Path(__file__).parent,
        timeout=100,
        capture_output=True,
        text=True,
    )


def test_batches_travel_where_there_is_hardly_any_shared_memory(tmp_path: Path) -> None:
    """Containers have 64 MiB; workers used to fail there."""
    program = (
        "import os\n"
        "import sys; sys.path.append('helpers')\n"
        "from test_clips_loader import *\n"
        "clip = ClipConfig(frames=8, crop_px=224)\n"
        "clips = EvaluationClips(STORES, SAMPLES, clip, ProtocolConfig(), class_count=3, multi_label=False)\n"
        "room = os.statvfs('/dev/shm')\n"
        "assert room.f_blocks * room.f_frsize == 1 << 20\n"
        "there, alone = (list(evaluation_loader(clips, 4, workers)) for workers in (2, 0))\n"
        "assert_same(there, alone)\n"
        "assert sum(values.nbytes for values in there[0].inputs.values()) > 4 << 20\n"
        "print('the same')\n"
    )
    ended = run_with_mounts("mount -t tmpfs -o size=1m tmpfs /dev/shm", program)
    assert ended.stdout.strip() == "the same", ended.stderr


#: A folder /dev without any shm, but with what programs cannot do without.
NO_SHARED_MEMORY = (
    "mount --rbind /dev /mnt && mount -t tmpfs tmpfs /dev && touch /dev/null /dev/urandom "
    "&& mount --bind /mnt/null /dev/null && mount --bind /mnt/urandom /dev/urandom"
)


@pytest.mark.parametrize(
    ("mounts", "cause"),
    [
        ("mount -t tmpfs -o ro tmpfs /dev/shm", "Read-only file system"),
        (NO_SHARED_MEMORY, "No such file or directory"),
    ],
)
def test_without_shared_memory_its_place_cause_and_remedy_are_told(mounts: str, cause: str) -> None:
    """Some containers have none, or a read-only one; it was a traceback, or a hint to choose another folder."""
    program = (
        "import sys; sys.path.append('helpers')\n"
        "from test_clips_loader import *\n"
        "from mml_core.runtime.cli import run\n"
        "from mml_core.runtime.compute import prepare_compute\n"
        "clips = EvaluationClips(STORES, SAMPLES, CLIP, ProtocolConfig(), class_count=3, multi_label=False)\n"
        "def count():\n"
        "    with prepare_compute(int(sys.argv[1]), 'cpu') as compute:\n"
        "        print(len(list(evaluation_loader(clips, 100, compute.workers))))\n"
        "run(count)\n"
    )
    ended = run_with_mounts(mounts, program, "2")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: /dev/shm: processes cannot share memory ({cause})")
    assert "Hint: in a container, mount it" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert run_with_mounts(mounts, program, "1").stdout.strip() == "1", "one process needs none"


def test_a_long_name_of_the_folder_for_temporary_files_does_not_hang(tmp_path: Path) -> None:
    """Sockets have short names only; a worker that cannot make one used to leave its reader waiting for ever."""
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    program = (
        "import sys; sys.path.append('helpers')\n"
        "from test_clips_loader import *\n"
        "clips = EvaluationClips(STORES, SAMPLES, CLIP, ProtocolConfig(), class_count=3, multi_label=False)\n"
        "print(sum(len(batch.video_ids) for batch in evaluation_loader(clips, 4, 1)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent,
        env={**os.environ, "TMPDIR": str(folder)},
        timeout=100,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "10"


def test_resuming_within_an_epoch_gives_the_rest_of_it(training: TrainingClips) -> None:
    batches = epoch_batches(10, 3, 0, 1)
    assert_same(list(training_loader(training, batches[1:], 0)), list(training_loader(training, batches, 0))[1:])


def test_the_global_random_state_is_left_alone(training: TrainingClips) -> None:
    state = torch.get_rng_state()
    list(training_loader(training, epoch_batches(10, 3, 0, 0), 0))
    assert torch.equal(torch.get_rng_state(), state)


def test_evaluation_visits_every_video_once_in_order(evaluation: EvaluationClips) -> None:
    batches = list(evaluation_loader(evaluation, 8, 0))
    assert [len(batch.video_ids) for batch in batches] == [4, 4, 2]
    assert [video for batch in batches for video in batch.video_ids] == [sample.video_id for sample in SAMPLES]
    assert batches[0].inputs["flow"].shape == (8, 4, 10, 32, 32)
    assert batches[0].views == [2, 2, 2, 2]
    assert batches[0].targets.tolist() == [0, 1, 2, 0]


def test_data_sets_travel_to_spawned_workers(training: TrainingClips) -> None:
    copy = pickle.loads(pickle.dumps(training))
    assert torch.equal(copy[0, 1].inputs["diff"], training[0, 1].inputs["diff"])
