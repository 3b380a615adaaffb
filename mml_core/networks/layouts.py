"""The layouts of weights from outside, each recognised by its names: a table, and what it makes of a file's content."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from mml_core.networks.mmaction2_layout import (
    from_mmaction2,
    from_mmaction2_checkpoint,
    is_mmaction2,
    is_mmaction2_checkpoint,
)
from mml_core.networks.mobilenet_layout import from_torchvision_mobilenet, is_torchvision_mobilenet
from mml_core.networks.p3d_layout import from_p3d, from_p3d_checkpoint, is_p3d, is_p3d_checkpoint
from mml_core.networks.resnext3d_layout import from_resnext3d_checkpoint, is_resnext3d_checkpoint
from mml_core.networks.s3d_layout import from_torchvision_s3d, is_torchvision_s3d
from mml_core.networks.torchvision_video_layout import (
    from_torchvision_mvit,
    from_torchvision_swin3d,
    is_torchvision_mvit,
    is_torchvision_swin3d,
)
from mml_core.networks.tsm_layout import from_tsm, from_tsm_checkpoint, is_tsm, is_tsm_checkpoint

State = Mapping[str, Tensor]

#: Whether a file's content is a checkpoint of that form, and its state dict.
_CHECKPOINTS: tuple[tuple[Callable[[object], bool], Callable[[dict[str, object]], dict[object, object]]], ...] = (
    (is_tsm_checkpoint, from_tsm_checkpoint),
    (is_mmaction2_checkpoint, from_mmaction2_checkpoint),
    (is_resnext3d_checkpoint, from_resnext3d_checkpoint),
    (is_p3d_checkpoint, from_p3d_checkpoint),
)
#: Whether a state dict has that layout, and it under our names.
_LAYOUTS: tuple[tuple[Callable[[State], bool], Callable[[State], dict[str, Tensor]]], ...] = (
    (is_tsm, from_tsm),
    (is_mmaction2, from_mmaction2),
    (is_p3d, from_p3d),
    (is_torchvision_mobilenet, from_torchvision_mobilenet),
    (is_torchvision_s3d, from_torchvision_s3d),
    (is_torchvision_swin3d, from_torchvision_swin3d),
    (is_torchvision_mvit, from_torchvision_mvit),
)


def state_of(content: object) -> object:
    """Return the state dict inside the `content` of a file that is a checkpoint of a known form; else `content`."""
    for fits, state in _CHECKPOINTS:
        if fits(content):
            return state(content)
    return content


def in_our_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` under our names, which are the authors' or torchvision's where no layout is recognised.

    Raises ValueError for a network that is another one than its names say.
    """
    for fits, renamed in _LAYOUTS:
        if fits(state):
            return renamed(state)
    return dict(state)
