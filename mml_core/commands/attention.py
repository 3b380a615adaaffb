"""The subcommand `mml attention`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

from mml_core.attention_command.command import AttentionOptions, show_attention
from mml_core.commands.types import Count, Device
from mml_core.runtime.compute import available_cores


def _place(hint: object, tokens: Sequence[Token]) -> tuple[float, float]:
    """Return the place that the word ROW,COLUMN says."""
    told = f"expected two numbers from 0 to 1, as in 0.5,0.5, got {tokens[0].value!r}"
    try:
        row, column = map(float, tokens[0].value.split(","))
    except ValueError as error:
        raise ValueError(told) from error
    if not (0 <= row <= 1 and 0 <= column <= 1):
        raise ValueError(told)
    return row, column


def attention(
    *,
    video: Path,
    weights: Path,
    output: Path,
    network: str | None = None,
    plan: Path | None = None,
    query: Annotated[tuple[float, float], Parameter(converter=_place, n_tokens=1)] = (0.5, 0.5),
    device: Device = "auto",
    threads: Count | None = None,
) -> None:
    """Where a place of a frame looks through the last attention block of a trained network (Chi et al. 2019, Figure 5).

    mml attention --video any.mp4 --weights results/mine/stages/iter1-0123456789/weights.safetensors --output a.png

    The picture has up to three frames of the clip in the middle of the video, each as three pictures: the modality that
    the place is in, the one that it looks at, and where it looks.

    Args:
        video: any video file
        weights: of a trained stage, results/DATASET/stages/STAGE/weights.safetensors
        output: the picture, a PNG
        network: network of the stage, or NETWORK.BRANCH, the branch that looks; default: the only network with
            attention blocks, and of its branches the first of its scores
        plan: how modalities are made of videos, results/DATASET/plan.json; default: that of the weights' folder
        query: ROW,COLUMN: the place that looks, from 0,0 at the top left to 1,1 at the bottom right
        device: auto: a GPU if there is one
        threads: threads on a processor; default: every core
    """
    show_attention(AttentionOptions(video, weights, output, network, plan, query, device, threads or available_cores()))
