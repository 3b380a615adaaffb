"""Two sensors from videos, depth maps and skeletons to shards: the same points of a scene lie on each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skeleton_files import body, skeleton_lines, spread, write_lines
from video_files import joined, numbered_frames, shifted_frames, write_video

from mml_core.config.alignment import AlignmentConfig, GivenAlignment, SkeletonAlignment
from mml_core.config.dataset import DatasetConfig, Limits, RgbModality
from mml_core.config.depth import DepthModality
from mml_core.modalities.depth import make_depth_shard
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.modalities.sensors import Sensors, sensors_of
from mml_core.shards import ModalityStore
from mml_core.shards.reader import ShardReader
from mml_core.video.decode import DecodedVideo, picture_size
from mml_core.video.shapes import Box
from mml_core.video.sources import VideoError

SCALE, OFFSET = 3.1, (71.3, -43.6)
RGB_SIZE, DEPTH_SIZE = (880, 520), (256, 212)  # the depth map sees more above, the RGB picture more on both sides
#: Where the scene has a ball in each frame, in the depth map.
BALLS = [(40.0, 60.0), (200.0, 60.0), (40.0, 150.0), (200.0, 150.0), (120.0, 100.0), (75.5, 33.25)]
SKELETONS = SkeletonAlignment(method="skeletons", files="skeletons/{id}.skeleton", depth_size_px=DEPTH_SIZE)
GIVEN = GivenAlignment(method="given", scale=SCALE, offset_px=OFFSET, depth_size_px=DEPTH_SIZE)
DEPTH = DepthModality(files="depth/{id}", range_mm=(500, 4500))


def ball(size: tuple[int, int], x: float, y: float, radius: float) -> NDArray[np.bool_]:
    """Pixels (H, W) of a picture that show a ball."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    return np.hypot(columns - x, rows - y) < radius


def joints(seed: int, scale: float = SCALE, offset: tuple[float, float] = OFFSET) -> list[str]:
    """A body whose joints are off by half a pixel or so, and some of them far off where they are inferred."""
    depth = spread(seed, *DEPTH_SIZE)
    rgb = scale * depth + offset + np.random.default_rng(seed).normal(0, 0.3, depth.shape)
    rgb[:5] += 150
    return body(rgb, depth, [1] * 5 + [2] * 20)


def write_scene(root: Path, name: str = "a") -> Path:
    """Write a video, its depth maps of 16 bits and its skeletons."""
    frames = np.full((len(BALLS), RGB_SIZE[1], RGB_SIZE[0], 3), 50, np.uint8)
    maps = root / "depth" / name
    maps.mkdir(parents=True)
    for number, (x, y) in enumerate(BALLS):
        frames[number][ball(RGB_SIZE, SCALE * x + OFFSET[0], SCALE * y + OFFSET[1], 10 * SCALE)] = 220
        distances = np.where(ball(DEPTH_SIZE, x, y, 10), 1000, 3500).astype(np.uint16)
        Image.fromarray(distances).save(maps / f"MDepth-{number + 1:08d}.png")
    write_lines(root / f"skeletons/{name}.skeleton", skeleton_lines([[joints(t)] for t in range(len(BALLS))]))
    return write_video(root / f"{name}.avi", frames)


def shards(
    root: Path, videos: dict[str, Path], alignment: AlignmentConfig | None, **settings: Any
) -> tuple[ShardReader, ShardReader]:
    """Make and open the shards of frames and of depth."""
    sensors = sensors_of(alignment, root, Limits())
    rgb = RgbModality(**({"short_side_px": 160, "quality": 100} | settings))
    make_rgb_shard(videos, "rgb", rgb, Limits(), root / "rgb.h5", 1, sensors=sensors)
    make_depth_shard(root / "rgb.h5", videos, root, "depth", DEPTH, Limits(), root / "depth.h5", 1, sensors)
    return ShardReader(root / "rgb.h5"), ShardReader(root / "depth.h5")


def centre(shown: NDArray[np.bool_]) -> NDArray[np.float64]:
    assert shown.any()
    return np.argwhere(shown).mean(axis=0)


def apart(rgb: Path, depth: Path) -> list[float]:
    """How far the ball of each frame is in the stored frame from where it is in the stored map, in pixels."""
    frames, maps = ModalityStore([rgb]), ModalityStore([depth])
    images = frames.read("a", range(len(BALLS)), 1).numpy().mean(axis=1) > 135
    levels = maps.read("a", range(len(BALLS)), 1).numpy()[:, 0]
    near = levels < levels.mean()
    assert images.shape == near.shape
    return [float(np.hypot(*(centre(one) - centre(other)))) for one, other in zip(images, near, strict=True)]


@pytest.mark.parametrize("settings", [{}, {"square": True}, {"short_side_px": 320}])
@pytest.mark.parametrize("alignment", [SKELETONS, GIVEN])
def test_points_of_the_scene_lie_on_each_other(tmp_path: Path, alignment: AlignmentConfig, settings: dict) -> None:
    videos = {"a": write_scene(tmp_path)}
    rgb, depth = shards(tmp_path, videos, alignment, **settings)
    assert not rgb.quarantined and not depth.quarantined
    assert max(apart(rgb.path, depth.path)) < 1
    boxes = Sensors(alignment, tmp_path, Limits()).boxes("a", videos["a"])
    assert boxes == (Box(70, 2, 794, 518), Box(0, 15, 256, 167))
    if not settings:
        entry = rgb.videos["a"]
        assert (entry.height, entry.width) == (160, 245)  # the aspect of the box


def test_without_an_alignment_they_do_not(tmp_path: Path) -> None:
    rgb, depth = shards(tmp_path, {"a": write_scene(tmp_path)}, None)
    assert max(apart(rgb.path, depth.path)) > 10
    assert rgb.videos["a"].width == 271  # the whole picture


def test_a_faulty_video_costs_the_others_nothing(tmp_path: Path) -> None:
    names = ("a", "gone", "short", "far", "cut", "inferred", "small")
    videos = {name: write_scene(tmp_path, name) for name in names}
    skeletons = {name: tmp_path / f"skeletons/{name}.skeleton" for name in names}
    skeletons["gone"].unlink()
    write_lines(skeletons["short"], skeleton_lines([[]]))
    write_lines(skeletons["far"], skeleton_lines([[joints(0, offset=(900, 0))]]))
    skeletons["cut"].write_bytes(skeletons["cut"].read_bytes()[:1000])
    depth = spread(0, *DEPTH_SIZE)
    write_lines(skeletons["inferred"], skeleton_lines([[body(3 * depth, depth, 1)]]))
    for file in (tmp_path / "depth/small").iterdir():
        Image.fromarray(np.full((424, 512), 900, np.uint16)).save(file)
    rgb, maps = shards(tmp_path, videos, SKELETONS)
    assert set(rgb.videos) == {"a", "small"} and set(maps.videos) == {"a"}
    reasons = {
        "gone": "no alignment: there is no skeletons/gone.skeleton",
        "short": "no alignment: 0 pairs of well-tracked joints, at least 10 are needed",
        "far": "no alignment: the pictures of both sensors hardly overlap",
        "inferred": "no alignment: 0 pairs of well-tracked joints, at least 10 are needed",
    }
    cut = rgb.quarantined["cut"]
    assert cut.startswith("no alignment: cut.skeleton, line 13: joint: expected 12 numbers")
    assert rgb.quarantined == reasons | {"cut": cut}
    small = "no depth in depth/small: maps of 512 x 424 pixels, and alignment.depth_size_px is 256 x 212"
    assert maps.quarantined == rgb.quarantined | {"small": small}
    assert max(apart(rgb.path, maps.path)) < 1


def test_skeletons_stay_within_the_folder_of_videos(tmp_path: Path) -> None:
    root = tmp_path / "root"
    videos = {"a": write_scene(root)}
    (root / "skeletons").rename(tmp_path / "outside")
    (root / "skeletons").symlink_to(tmp_path / "outside")
    rgb, _ = shards(root, videos, SKELETONS)
    assert rgb.quarantined == {"a": "no alignment: its files lead out of the folder of videos"}


@pytest.mark.parametrize("box", [Box(0, 0, 96, 80), Box(7, 5, 51, 33), Box(95, 79, 1, 1), Box(33, 1, 17, 79)])
def test_a_box_is_cut_to_the_pixel(tmp_path: Path, box: Box) -> None:
    path = write_video(tmp_path / "a.mkv", shifted_frames([(0, 0), (3, 1), (5, 2)], 80, 96), codec="ffv1")
    whole = np.stack(list(DecodedVideo(path, 80, Limits())))
    cut = np.stack(list(DecodedVideo(path, min(box[2:]), Limits(), box=box)))
    expected = whole[:, box.top : box.top + box.height, box.left : box.left + box.width]
    assert cut.shape == expected.shape and np.abs(cut.astype(int) - expected).max() <= 2


def test_the_size_of_a_picture(tmp_path: Path) -> None:
    assert picture_size(write_video(tmp_path / "a.mp4", numbered_frames(3, 50, 322)), Limits()) == (322, 50)
    (tmp_path / "b.avi").write_bytes(b"no video")
    with pytest.raises(VideoError, match="cannot be opened as a video"):
        picture_size(tmp_path / "b.avi", Limits())


def test_a_picture_that_changes_its_size_is_not_cut(tmp_path: Path) -> None:
    parts = [write_video(tmp_path / f"{n}.ts", numbered_frames(5, 60 * n, 80 * n), codec="mpeg2video") for n in (1, 2)]
    path = joined(tmp_path / "both.ts", parts)
    with pytest.raises(VideoError, match="not known what to cut out"):
        list(DecodedVideo(path, 40, Limits(), box=Box(0, 0, 40, 40)))
    same = joined(tmp_path / "same.ts", parts[:1] * 2)
    assert len(list(DecodedVideo(same, 40, Limits(), box=Box(0, 0, 40, 40)))) == 10


def test_an_alignment_gives_names_of_their_own() -> None:
    annotations = {"format": "folders", "videos": "videos"}
    modalities = {"rgb": {"kind": "rgb"}, "flow": {"kind": "flow"}, "depth": {"kind": "depth", "files": "d/{id}"}}
    document = {"name": "a", "annotations": annotations, "modalities": modalities}
    plain = DatasetConfig.model_validate(document)
    assert "alignment" not in plain.model_dump() and sensors_of(plain.alignment, Path(), Limits()) is None
    aligned = [DatasetConfig.model_validate(document | {"alignment": one.model_dump()}) for one in (SKELETONS, GIVEN)]
    for name in modalities:
        assert len({one.modality_key(name) for one in (plain, *aligned)}) == 3
    assert sensors_of(aligned[0].alignment, Path("v"), Limits(), 12) == Sensors(SKELETONS, Path("v"), Limits(), 12)
    assert DatasetConfig.model_validate_json(aligned[1].model_dump_json()) == aligned[1]


@pytest.mark.parametrize(
    ("alignment", "expected"),
    [
        ({"method": "skeletons", "files": "../{id}"}, "without '..'"),
        ({"method": "skeletons", "files": "all.skeleton"}, "expected {path} or {id}"),
        ({"method": "given", "scale": 0, "offset_px": [0, 0], "depth_size_px": [8, 8]}, "alignment.given.scale"),
        ({"method": "given", "scale": 1, "offset_px": [0, 0]}, "depth_size_px"),
        ({"method": "given", "scale": 1, "offset_px": [0], "depth_size_px": [8, 8]}, "offset_px"),
    ],
)
def test_faults_of_the_configuration(alignment: dict, expected: str) -> None:
    document = {"name": "a", "annotations": {"format": "folders", "videos": "v"}, "alignment": alignment}
    with pytest.raises(ValueError) as caught:
        DatasetConfig.model_validate(document)
    assert expected in str(caught.value)


def test_motion_vectors_are_not_cut() -> None:
    vectors = {"kind": "flow", "algorithm": {"method": "motion_vectors"}}
    document = {"name": "a", "annotations": {"format": "folders", "videos": "v"}, "alignment": GIVEN.model_dump()}
    with pytest.raises(ValueError, match="motion vectors are those of whole frames"):
        DatasetConfig.model_validate(document | {"modalities": {"rgb": {"kind": "rgb"}, "mv": vectors}})


def test_a_real_video_of_ntu_rgbd(real_data: Path, tmp_path: Path) -> None:
    """Its RGB video as distributed, with made-up skeletons of the size and place that Kinect 2 has."""
    file = real_data / "clips/S001C001P001R001A001_rgb.avi"
    video = tmp_path / "nturgb+d_rgb" / file.name
    video.parent.mkdir()
    video.symlink_to(file)
    depth = spread(0)
    lines = skeleton_lines([[body(2.95 * depth + (206.5, -88.5), depth)]])
    write_lines(tmp_path / "nturgb+d_skeletons/S001C001P001R001A001.skeleton", lines)
    alignment = SkeletonAlignment(method="skeletons", files="nturgb+d_skeletons/{id}.skeleton")
    boxes = Sensors(alignment, tmp_path, Limits()).boxes("S001C001P001R001A001", video)
    assert boxes.depth == Box(0, 31, 512, 365) and boxes.rgb == Box(206, 2, 1510, 1077)
    frames = list(DecodedVideo(video, 256, Limits(), box=boxes.rgb, end=3))
    assert [frame.shape for frame in frames] == [(256, 359, 3)] * 3
