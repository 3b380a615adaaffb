"""The command mml-attention: where a place of a frame of any video looks in a network with attention blocks.

Videos may come from anywhere: only decoders in processes of their own read them (`mml_core.video.child`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mml_core.errors import InputError
from mml_core.runtime import cli
from mml_core.runtime.compute import available_cores, prepare_compute

#: Frames of the clip that the picture has at most, and the side of a picture of one.
FRAMES, TILE_PX = 3, 224

_DESCRIPTION = """\
Where a place of a frame looks through the last attention block of a trained network (Chi et al. 2019, Figure 5).

  mml-attention --video any.mp4 --weights results/mine/stages/iter1-0123456789abcdef/weights.safetensors --output a.png

The picture has up to three frames of the clip in the middle of the video, each as three pictures: the modality that the
place is in, the one that it looks at, and where it looks.
"""


def main() -> NoReturn:
    """Run the command with the process's own command line."""
    cli.run(show_attention)


def show_attention(words: Sequence[str] | None = None) -> None:
    """Do what the command line `words` (default: the process's own) asks for.

    Raises InputError for what the user can mend, see `attention.attention_of_video`, and an output that cannot be
    written.
    """
    options = _parse(words)
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


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mml-attention",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--video", type=Path, required=True, metavar="FILE", help="any video file")
    parser.add_argument(
        "--weights",
        type=Path,
        required=True,
        metavar="FILE",
        help="of a trained stage, results/DATASET/stages/STAGE/weights.safetensors",
    )
    parser.add_argument(
        "--network",
        metavar="NAME",
        help="network of the stage, or NETWORK.BRANCH, the branch that looks; default: the only network with attention "
        "blocks, and of its branches the first of its scores",
    )
    parser.add_argument(
        "--plan",
        type=Path,
        metavar="FILE",
        help="how modalities are made of videos, results/DATASET/plan.json; default: that of the weights' folder",
    )
    parser.add_argument(
        "--query",
        type=_place,
        default=(0.5, 0.5),
        metavar="ROW,COLUMN",
        help="the place that looks, from 0,0 at the top left to 1,1 at the bottom right; default: 0.5,0.5",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="PNG", help="the picture")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if there is one"
    )
    parser.add_argument(
        "--threads", type=_threads, default=available_cores(), help="threads on a processor; default: every core"
    )
    return parser.parse_args(words)


def _place(text: str) -> tuple[float, float]:
    told = argparse.ArgumentTypeError(f"expected two numbers from 0 to 1, as in 0.5,0.5, got {text!r}")
    try:
        row, column = map(float, text.split(","))
    except ValueError as error:
        raise told from error
    if not (0 <= row <= 1 and 0 <= column <= 1):
        raise told
    return row, column


def _threads(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return int(text)


if __name__ == "__main__":
    main()
