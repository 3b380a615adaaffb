"""Whether videos and labels are such that clips can be made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mml_core.clips.batches import Sample
from mml_core.errors import InputError, summarise
from mml_core.kinds import kind_of

if TYPE_CHECKING:
    from mml_core.shards import ModalityStore


def check_videos(stores: Mapping[str, ModalityStore], samples: Sequence[Sample]) -> None:
    """Raise InputError where modalities of a video differ in size or were made from different numbers of frames."""
    problems = []
    for sample in samples:
        entries = {name: store.videos.get(sample.video_id) for name, store in stores.items()}
        if missing := [name for name, entry in entries.items() if entry is None]:
            problems.append(f"video {sample.video_id}: not in the shards of {', '.join(missing)}")
            continue
        shapes = {
            # n frames have n - 1 fields or differences
            name: (entry.height, entry.width, entry.count + kind_of(stores[name].info.kind).fewer)
            for name, entry in entries.items()
            if entry is not None
        }
        if len(set(shapes.values())) > 1:
            told = ", ".join(f"{name} {h} x {w} px from {n} frames" for name, (h, w, n) in shapes.items())
            problems.append(f"video {sample.video_id}: {told}")
    if problems:
        raise InputError(
            f"{len(problems)} video(s) whose modalities do not belong together:\n{summarise(problems)}",
            hint="make the shards of all modalities again from the same rgb shards",
        )


def check_labels(samples: Sequence[Sample], class_count: int, *, multi_label: bool) -> None:
    """Raise InputError where a label is no class, or where a video that needs one label has none or several."""
    problems = [
        f"video {sample.video_id}: labels {classes}"
        for sample in samples
        for classes in [(*sample.labels, *(segment.label for segment in sample.segments))]
        if not (multi_label or (len(sample.labels) == 1 and not sample.segments))
        or not all(0 <= c < class_count for c in classes)
    ]
    if problems:
        wanted = "class indices" if multi_label else "exactly one class index"
        raise InputError(
            f"{len(problems)} video(s) without {wanted} below {class_count}, which training needs:\n"
            + summarise(problems)
        )


def check_frame_rates(stores: Mapping[str, ModalityStore], samples: Sequence[Sample]) -> None:
    """Raise InputError where labels hold for a time and a clip's time is not known."""
    videos = next(iter(stores.values())).videos
    problems = [
        f"video {sample.video_id}: {rate} frames a second"
        for sample in samples
        if sample.segments and not (rate := videos[sample.video_id].frame_rate) > 0  # NaN where it is not stated
    ]
    if problems:
        raise InputError(
            f"{len(problems)} video(s) whose labels hold for a time, but without a frame rate:\n{summarise(problems)}",
            hint="put these videos into containers that state it (ffmpeg -i OLD -c copy NEW.mp4), or leave them out",
        )
