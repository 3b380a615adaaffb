"""What two sensors both show of a video, by the alignment of its data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mml_core.config.alignment import AlignmentConfig, GivenAlignment, SkeletonAlignment
from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.modalities.beside import as_fault_of_video, check_within, path_beside
from mml_core.video.alignment import Alignment, Boxes, align, common_boxes
from mml_core.video.decode import picture_size
from mml_core.video.skeletons import FrameJoints, read_skeletons
from mml_core.video.sources import VideoError


@dataclass(frozen=True)
class Sensors:
    """How the pictures of two sensors lie on each other in the videos below `root`."""

    alignment: AlignmentConfig
    root: Path
    limits: Limits
    folder_frames_per_sec: float | None = None  # given, videos are folders of frames

    def boxes(self, video_id: str, video: Path) -> Boxes:
        """Return what both sensors show of a video, in pixels of its pictures before they are scaled.

        Depth maps are of `alignment.depth_size_px`; the size of the RGB picture is that of the first frame. Raises
        VideoError where the video has no usable skeletons, or the pictures do not overlap.
        """
        try:
            found = self._alignment(video_id, video)
            size = picture_size(video, self.limits, self.folder_frames_per_sec)
            return common_boxes(found, size, self.alignment.depth_size_px)
        except VideoError as error:
            raise VideoError(f"no alignment: {error}") from error

    def check_depth_size(self, height: int, width: int) -> None:
        """Raise VideoError where a depth map of this size is none of those that are aligned."""
        if (width, height) != self.alignment.depth_size_px:
            stated = " x ".join(map(str, self.alignment.depth_size_px))
            raise VideoError(f"maps of {width} x {height} pixels, and alignment.depth_size_px is {stated}")

    def _alignment(self, video_id: str, video: Path) -> Alignment:
        match self.alignment:
            case GivenAlignment(scale=scale, offset_px=offset):
                return Alignment(scale, offset)
            case SkeletonAlignment(files=pattern):
                path = path_beside(self.root, pattern, video_id, video)
                check_within(path, self.root)
                return align(_skeletons(path))


def sensors_of(
    alignment: AlignmentConfig | None, root: Path, limits: Limits, folder_frames_per_sec: float | None = None
) -> Sensors | None:
    """Return the sensors of a data set with this alignment; None where it has none."""
    return None if alignment is None else Sensors(alignment, root, limits, folder_frames_per_sec)


def _skeletons(path: Path) -> list[FrameJoints]:
    try:
        return read_skeletons(path)
    except InputError as error:
        raise as_fault_of_video(error, path) from error
