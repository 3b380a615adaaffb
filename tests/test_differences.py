"""Differences that are computed when clips are read: exact, in the order of stored ones, and of frames read once."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from frame_shards import shard_of_videos
from synthetic import synthetic_data
from video_files import shifted_frames

from mml_core.clips import EvaluationClips, FlipPolicy, Sample, TrainingClips
from mml_core.clips.crops import resize
from mml_core.clips.flips import mirror
from mml_core.config.base import validate
from mml_core.config.clips import ClipConfig
from mml_core.config.dataset import DatasetConfig, DiffModality
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.recipe import RecipeConfig
from mml_core.data.stores import open_store
from mml_core.errors import InputError
from mml_core.modalities.diff import make_diff_shard
from mml_core.modalities.quantise import difference_to_levels
from mml_core.plan.places import shard_paths
from mml_core.plan.products import made_splits
from mml_core.plan.stages import DataPlan, plan_stages
from mml_core.shards import ModalityStore, ShardReader, reader
from mml_core.shards.differences import FrameDifferences, difference_levels, pair_levels
from mml_core.shards.schema import VideoEntry
from mml_core.shards.store import SharedFrames

HEIGHT, WIDTH = 70, 94
UNSTORED = {"kind": "diff", "stored": False}


def clips_of(frames: int) -> np.ndarray:
    """A texture that moves, with noise that leaves no difference even."""
    moving = shifted_frames([(2 * t, -t) for t in range(frames)], HEIGHT, WIDTH, margin=60).astype(np.int16)
    noise = np.random.default_rng(0).integers(-3, 4, moving.shape)
    return np.clip(moving + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def rgb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = {"a": clips_of(9), "b": clips_of(14)[:, ::-1]}
    return shard_of_videos(tmp_path_factory.mktemp("shards") / "rgb.h5", videos, 100)


@pytest.fixture
def computed(rgb: Path) -> FrameDifferences:
    return FrameDifferences.of(ModalityStore([rgb]), "diff", {})


def reference(rgb: Path, video: str) -> np.ndarray:
    """All differences of a video as levels (N - 1, 3, H, W), by the definition."""
    frames = ModalityStore([rgb]).read(video, range(ModalityStore([rgb]).videos[video].count), 1).numpy().astype(int)
    return np.clip(128 + np.rint((frames[1:] - frames[:-1]) / 2), 0, 255).astype(np.uint8)


def test_levels_of_all_pairs_of_values_are_those_of_the_definition() -> None:
    earlier, later = (part.astype(np.uint8) for part in np.mgrid[:256, :256])
    expected = difference_to_levels(later.astype(np.int16) - earlier)
    assert expected.max() == 255 and expected.min() == 0
    (levels,) = pair_levels([(earlier, later)])
    np.testing.assert_array_equal(levels, expected)
    (transposed,) = pair_levels([(earlier.T, later.T)])
    np.testing.assert_array_equal(transposed, expected.T)


def test_differences_of_neighbours_are_kept_apart() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 7), np.uint8)
    expected = difference_to_levels(frames[1:].astype(np.int16) - frames[:-1])
    np.testing.assert_array_equal(difference_levels(frames), expected)


def test_stacks_are_exact(rgb: Path, computed: FrameDifferences) -> None:
    """Against the definition, in parts of the picture, past the video's end, and out of order."""
    expected = reference(rgb, "b")
    assert computed.videos["b"].count == 13 and computed.info.kind == "diff"
    part = (slice(3, 40), slice(10, 90))
    levels = computed.read("b", [9, 0, 12], 3, part)
    numbers = np.minimum(np.array([9, 0, 12])[:, None] + np.arange(3), 12)
    np.testing.assert_array_equal(levels, expected[:, :, *part][numbers].reshape(3, 9, 37, 80))
    np.testing.assert_array_equal(computed.read("b", [4, 2], 1), expected[[4, 2]])


def test_each_frame_of_a_clip_is_decoded_once(
    rgb: Path, computed: FrameDifferences, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = reader.ShardReader._stored
    images: list[tuple[int, int]] = []

    def counted(shard: ShardReader, begin: int, end: int) -> object:
        images.append((begin, end))
        return stored(shard, begin, end)

    monkeypatch.setattr(reader.ShardReader, "_stored", counted)
    computed.read("b", [0, 2, 8], 3)  # differences 0 to 4 and 8 to 10
    first = ModalityStore([rgb]).videos["b"].first
    assert images == [(first, first + 6), (first + 8, first + 12)]


def training_clips(stores: dict[str, object], probability: float = 0.0) -> TrainingClips:
    samples = [Sample(name, (0,)) for name in ("a", "b")]
    clip = ClipConfig(frames=3, stack=4, crop_px=32)
    flip = FlipPolicy(probability, (0,))
    return TrainingClips(stores, samples, clip, class_count=1, multi_label=False, flip=flip, seed=3)


@pytest.mark.parametrize(("probability", "ready"), [(0.0, False), (0.0, True), (1.0, False)])
def test_clips_are_cut_then_resized_then_mirrored_as_stored_ones(
    rgb: Path, probability: float, ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit what resizing exact differences gives, and within JPEG's error what stored ones give."""
    monkeypatch.setattr("mml_core.shards.differences.is_ready", lambda: ready)
    stored = rgb.with_name("diff.h5")
    make_diff_shard(rgb, "diff", DiffModality(quality=100), stored, 1)
    frames = ModalityStore([rgb])
    both = {
        name: training_clips({"diff": store}, probability)
        for name, store in {
            "computed": FrameDifferences.of(frames, "diff", {}),
            "stored": ModalityStore([stored]),
        }.items()
    }

    exact = {name: reference(rgb, name) for name in ("a", "b")}

    class Exact:
        info, videos = both["computed"].stores["diff"].info, both["computed"].stores["diff"].videos

        def images(self, video: str, numbers: list[int], part: tuple[slice, slice]) -> Iterator[np.ndarray]:
            yield from exact[video][numbers][..., *part]

    expected = training_clips({"diff": Exact()}, probability)
    errors = []
    for key in itertools.product(range(4), range(2)):
        made = both["computed"][key].inputs["diff"]
        assert made.shape == (3, 12, 32, 32) and made.is_contiguous()
        torch.testing.assert_close(made, expected[key].inputs["diff"], rtol=0, atol=0)
        errors.append((made.int() - both["stored"][key].inputs["diff"].int()).abs())
    error = torch.stack(errors)
    assert 0 < error.float().mean() < 0.5 and error.max() <= 3, "levels of two grey levels; quality 100"


def test_views_are_those_of_exact_differences(rgb: Path, computed: FrameDifferences) -> None:
    clip, protocol = ClipConfig(frames=2, stack=2, crop_px=32), ProtocolConfig(dense=1, uniform=1, crop="ten")
    clips = EvaluationClips({"diff": computed}, [Sample("b", ())], clip, protocol, class_count=1, multi_label=False)
    views = clips[0].inputs["diff"]
    exact = torch.from_numpy(reference(rgb, "b"))
    corner = resize(exact[..., :32, :32].contiguous(), 32)
    start = next(t for t in range(13) if torch.equal(views[0, 0, :3], corner[t]))
    assert torch.equal(views[0, 0], corner[start : start + 2].flatten(0, 1))
    assert torch.equal(views[5, 0], mirror(views[0, 0], "diff")), "differences keep their sign in the mirror"


def test_frames_of_two_modalities_are_decoded_once(rgb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of frames and differences are those of two stores that know nothing of each other."""
    apart = training_clips({"diff": FrameDifferences.of(ModalityStore([rgb]), "diff", {}), "rgb": ModalityStore([rgb])})
    frames = SharedFrames([rgb])
    together = training_clips({"diff": FrameDifferences.of(frames, "diff", {}), "rgb": frames})
    first = training_clips({"rgb": frames, "diff": FrameDifferences.of(frames, "diff", {})})
    decoded: list[tuple[int, int]] = []
    images = ShardReader._images

    def counted(shard: ShardReader, entry: VideoEntry, begin: int, end: int) -> object:
        decoded.extend((entry.first, number) for number in range(begin, end))
        return images(shard, entry, begin, end)

    monkeypatch.setattr(ShardReader, "_images", counted)
    for key in itertools.product(range(4), range(2)):
        expected = apart[key].inputs
        for clips in (together, first):
            decoded.clear()
            made = pickle.loads(pickle.dumps(clips))[key].inputs if key == (0, 0) else clips[key].inputs
            assert len(decoded) == len(set(decoded)) > 0
            for name in ("rgb", "diff"):
                assert torch.equal(made[name], expected[name])
                assert made[name].is_contiguous()


def test_frames_of_two_modalities_are_decoded_once_in_testing(rgb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, apart = SharedFrames([rgb]), ModalityStore([rgb])
    clip, protocol = ClipConfig(frames=3, stack=2, crop_px=32), ProtocolConfig(dense=0, uniform=1, crop="center")
    views = [
        EvaluationClips(stores, [Sample("b", ())], clip, protocol, class_count=1, multi_label=False)
        for stores in (
            {"rgb": frames, "diff": FrameDifferences.of(frames, "diff", {})},
            {"rgb": apart, "diff": FrameDifferences.of(apart, "diff", {})},
        )
    ]
    expected = views[1][0].inputs
    decoded: list[int] = []
    images = ShardReader._images

    def counted(shard: ShardReader, entry: VideoEntry, begin: int, end: int) -> object:
        decoded.extend(range(begin, end))
        return images(shard, entry, begin, end)

    monkeypatch.setattr(ShardReader, "_images", counted)
    for _ in range(2):  # in memory that is used again
        decoded.clear()
        made = views[0][0].inputs
        assert len(decoded) == len(set(decoded))
        assert all(torch.equal(made[name], expected[name]) for name in ("rgb", "diff"))


def test_missing_videos_are_those_of_the_frames(rgb: Path) -> None:
    frames = ModalityStore([rgb])
    frames._quarantined["c"] = "no such file"
    computed = FrameDifferences.of(frames, "diff", {})
    assert computed.quarantined == {"c": "no such file"} and "c" not in computed.videos
    assert computed.checksums == frames.checksums
    with pytest.raises(KeyError):
        computed.read("c", [0], 1)


def test_a_store_goes_to_loader_processes(computed: FrameDifferences) -> None:
    here = computed.read("a", [1, 5], 2)
    assert torch.equal(pickle.loads(pickle.dumps(computed)).read("a", [1, 5], 2), here)
    computed.close()
    assert torch.equal(computed.read("a", [1, 5], 2), here)


def plan(diff: dict[str, object]) -> DataPlan:
    return synthetic_data(modalities={"rgb": {"kind": "rgb"}, "diff": diff})


def stage_keys(diff: dict[str, object]) -> dict[str, str]:
    networks = {name: {"networks": {name: {"modality": name, "init": "random"}}} for name in ("rgb", "diff")}
    document = {
        "name": "r",
        "stages": networks,
        "protocols": {"p": {}},
        "tables": {"ensemble_table": {"protocol": "p"}},
    }
    recipe = validate(RecipeConfig, document, Path("r.yaml"))
    return {name: stage.key for name, stage in plan_stages(plan(diff), recipe, Path("r.yaml")).items()}


def test_stages_that_read_them_have_keys_of_their_own_and_no_others() -> None:
    stored, computed = stage_keys({"kind": "diff"}), stage_keys(UNSTORED)
    assert stored == stage_keys({"kind": "diff", "stored": True}), "the default is as if there were no such key"
    assert stored["rgb"] == computed["rgb"] and stored["diff"] != computed["diff"]


def test_they_are_read_from_the_shards_of_the_frames() -> None:
    data = plan(UNSTORED)
    config = data.config
    assert config.modality_key("diff") != config.shard_folder("diff") == config.modality_key("rgb")
    assert shard_paths(data, ["diff", "rgb"], ["train"]) == shard_paths(data, ["rgb"], ["train"])
    assert made_splits(data, [], []) == {"rgb": ["test", "train", "validation"]}
    stored = plan({"kind": "diff"}).config
    assert stored.shard_folder("diff") == stored.modality_key("diff")


def test_quality_of_what_is_not_stored_is_refused() -> None:
    with pytest.raises(InputError, match=r"modalities\.diff.*quality: .*stored: false.*leave it out"):
        plan({**UNSTORED, "quality": 80})
    settings = DiffModality(stored=False)
    assert settings.model_dump() == UNSTORED
    assert DiffModality.model_validate_json(settings.model_dump_json()) == settings
    assert DiffModality().model_dump() == {"kind": "diff", "quality": 90}


def test_a_page_opens_them_from_a_shard_of_frames(rgb: Path) -> None:
    dataset: DatasetConfig = plan(UNSTORED).config
    store = open_store(dataset, "diff", [rgb])
    assert (store.info.kind, store.info.modality, store.info.settings) == ("diff", "diff", UNSTORED)
    assert open_store(dataset, "rgb", [rgb]).info.kind == "rgb"
