"""Flow that another program made, read from files beside the videos: `algorithm: {method: files}`."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mml_core.config.dataset import FlowModality
from mml_core.errors import InputError
from mml_core.flow.files import open_fields, read_flo
from mml_core.modalities.beside import as_fault_of_video, check_within, files_in_order, path_beside
from mml_core.modalities.derived import open_rgb_shard, source_of
from mml_core.modalities.encoding import encode_field, encoder_versions
from mml_core.modalities.from_videos import EncodedVideo, SpooledImages, framed_videos, write_videos
from mml_core.modalities.maker import Making
from mml_core.modalities.quantise import flow_to_levels
from mml_core.shards.schema import ShardInfo, VideoEntry
from mml_core.video.sources import VideoError

#: Ending of a pattern that names one HDF5 file a video, and not a folder of .flo files.
ONE_FILE = ".h5"


class _Video(NamedTuple):
    """The files of a video's fields, and its frames in the rgb shard, or the reason why these are missing."""

    fields: Path
    frames: VideoEntry | str


def make(making: Making) -> None:
    """Make a shard of the fields that lie beside the videos."""
    make_flow_file_shard(
        making.rgb, making.videos, making.root, making.modality, making.settings, making.output, making.threads
    )


def make_flow_file_shard(
    rgb: Path,
    videos: Mapping[str, Path],
    root: Path,
    modality: str,
    settings: FlowModality,
    output: Path,
    threads: int,
) -> None:
    """Write the shard `output` of the fields of `videos` (id to file), as flow of the frames in shard `rgb`.

    root: folder that the videos, and what `settings.algorithm.pattern` names, are in.

    Videos that are quarantined in `rgb` stay so; further ones are whose fields are missing, cannot be read, lie outside
    of `root` (links are followed to find out), are not finite, or are of another number or size than those between the
    stored frames.
    """
    with open_rgb_shard(rgb) as reader:
        framed, source = framed_videos(reader, videos), source_of(reader)
    info = ShardInfo("flow", modality, settings.model_dump(mode="json"), source, encoder_versions(settings))
    pattern = settings.algorithm.pattern
    wanted = {
        name: _Video(path_beside(root, pattern, name, video.path), video.frames) for name, video in framed.items()
    }
    encode = functools.partial(_encode, root=root, settings=settings, folder=output.parent)
    write_videos(wanted, encode, info, output, threads)


def _encode(video: _Video, *, root: Path, settings: FlowModality, folder: Path) -> EncodedVideo | VideoError:
    frames = video.frames
    if isinstance(frames, str):
        return VideoError(frames)
    try:
        check_within(video.fields, root)
        images = SpooledImages(_images(video.fields, frames, settings), folder)
    except VideoError as error:
        return VideoError(f"no flow: {error}")
    except InputError as error:
        return VideoError(f"no flow: {as_fault_of_video(error, video.fields)}")
    return EncodedVideo(images, frames.height, frames.width, frames.frame_rate)


def _images(path: Path, frames: VideoEntry, settings: FlowModality) -> Iterator[bytes]:
    """Yield the encoded fields at `path`; raises VideoError where they are not those between `frames`."""
    expected = (frames.count - 1, 2, frames.height, frames.width)
    in_one_file = settings.algorithm.pattern.endswith(ONE_FILE)
    for field in _h5_fields(path, expected) if in_one_file else _flo_fields(path, expected):
        if not np.isfinite(field).all():
            raise VideoError("a field is not finite")
        yield encode_field(flow_to_levels(torch.from_numpy(field), settings.bound_px).numpy(), settings)


def _h5_fields(path: Path, expected: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
    if not path.is_file():
        raise VideoError("expected an HDF5 file")
    with open_fields(path) as fields:
        _check_shape(fields.shape, expected)  # before any memory is taken for what a forged file states
        for number in range(expected[0]):
            yield fields[number]


def _flo_fields(folder: Path, expected: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
    files = files_in_order(folder, ".flo", expected[0] + 1)
    for file in files:
        field = read_flo(file)
        _check_shape((len(files), *field.shape), expected)
        yield field
    _check_shape((len(files), *expected[1:]), expected)


def _check_shape(found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise VideoError where fields of shape (T - 1, 2, H, W) are not of the `expected` number and size."""
    if found[0] != expected[0]:
        raise VideoError(f"{found[0]} fields for {expected[0] + 1} frames")
    if found != expected:
        raise VideoError(f"fields of {found[3]} x {found[2]} pixels for frames of {expected[3]} x {expected[2]}")
