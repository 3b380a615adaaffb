"""The command `mml attention`: where a place of a frame of any video looks in a network with attention blocks.

Videos may come from anywhere: only decoders in processes of their own read them (`mml_core.video.child`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mml_core.errors import InputError
from mml_core.runtime.compute import prepare_compute

#: Frames of the clip that the picture has at most, and the side of a picture of one.
FRAMES, TILE_PX = 3, 224


@dataclass(frozen=True)
class AttentionOptions:
    """Whose attention to which video is shown, see `attention.attention_of_video`."""

    video: Path
    weights: Path
    output: Path
    network: str | None
    plan: Path | None  # None: that of the weights' folder
    query: tuple[float, float]
    device: Literal["auto", "cpu", "cuda"]
    threads: int


def show_attention(options: AttentionOptions) -> None:
    """Print where a place looks, and write the picture of it.

    Raises InputError for what the user can mend, see `attention.attention_of_video`, and an output that cannot be
    written.
    """
    _check_output(options.output, options.video)
    with prepare_compute(options.threads, options.device) as compute:
        from mml_core.attention_command.attention import attention_of_video, plan_beside
        from mml_core.attention_command.text import attention_text
        from mml_core.figures.attention_drawing import looks_picture
        from mml_core.figures.output import write_picture
        from mml_core.report.samples import picture_numbers

        found = attention_of_video(
            options.video,
            options.weights,
            plan=options.plan or plan_beside(options.weights),
            network=options.network,
            query=options.query,
            device=compute.device,
            threads=options.threads,
        )
        shown = [found.looks[number] for number in picture_numbers(len(found.looks), min(FRAMES, len(found.looks)))]
        print(attention_text(found, options.query), flush=True)
        rows, columns = {"": found.network}, {"": options.video.name}
        title = f"Where a place of {found.looking.own} looks in {found.looking.other}"
        write_picture(options.output, looks_picture({("", ""): shown}, rows, columns, title, options.query, TILE_PX))
    print(f"wrote {options.output}", flush=True)


def _check_output(output: Path, video: Path) -> None:
    """Raise InputError where the name of the output is not that of a picture that can be written."""
    if output.suffix.lower() != ".png":
        raise InputError("is no name for a picture", file=output, hint="one ends in .png")
    if output.is_dir():
        raise InputError("cannot be written: there is a folder of that name", file=output, hint="choose another name")
    above = next(folder for folder in output.absolute().parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"cannot be written: {above} is no folder", file=output, hint="choose another name")
    if output.resolve() == video.resolve():
        raise InputError("is the video", file=output, hint="choose another name for --output")
