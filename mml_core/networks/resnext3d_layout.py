"""Checkpoints of 3D-ResNets-PyTorch and MARS, in terms of a plain state dict."""

from __future__ import annotations

#: What `nn.DataParallel`, from within which these networks were saved, puts before every name.
PREFIX = "module."


def is_resnext3d_checkpoint(content: object) -> bool:
    """Return whether `content` of a file has the form {epoch, arch, state_dict, optimizer}, where `arch` is a text."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("arch"), str)
        and isinstance(content.get("state_dict"), dict)
    )


def from_resnext3d_checkpoint(content: dict[str, object]) -> dict[object, object]:
    """Return the state dict of a checkpoint, without `module.` where every name begins with it.

    Names are otherwise those of `mml_core.networks.resnext3d`.
    """
    return without_prefix(content["state_dict"])


def without_prefix(state: dict[object, object]) -> dict[object, object]:
    """Return `state` without `module.` before its names, where every one begins with it."""
    if all(isinstance(name, str) and name.startswith(PREFIX) for name in state):
        return {name.removeprefix(PREFIX): value for name, value in state.items()}
    return dict(state)
