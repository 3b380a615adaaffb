"""First weights from outside: files in several layouts, and weights that torchvision and PyTorchVideo publish."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import (
    MobileNet_V2_Weights,
    ResNet18_Weights,
    ResNet34_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    WeightsEnum,
)
from torchvision.models.video import (
    MC3_18_Weights,
    MViT_V2_S_Weights,
    R2Plus1D_18_Weights,
    R3D_18_Weights,
    S3D_Weights,
    Swin3D_B_Weights,
    Swin3D_S_Weights,
    Swin3D_T_Weights,
)

from mml_core.errors import InputError, summarise
from mml_core.networks.layouts import in_our_names, state_of
from mml_core.networks.pytorchvideo_layout import from_pytorchvideo

#: I3D-ResNet-50, 8 frames at a stride of 8 (PyTorchVideo, Apache-2.0).
KINETICS_I3D = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/I3D_8x8_R50.pyth"
#: torchvision's networks trained on Kinetics-400, by their architecture here.
KINETICS: Mapping[str, WeightsEnum] = {
    "s3d": S3D_Weights.KINETICS400_V1,
    "r2plus1d_18": R2Plus1D_18_Weights.KINETICS400_V1,
    "r3d_18": R3D_18_Weights.KINETICS400_V1,
    "mc3_18": MC3_18_Weights.KINETICS400_V1,
    "swin3d_t": Swin3D_T_Weights.KINETICS400_V1,
    "swin3d_s": Swin3D_S_Weights.KINETICS400_V1,
    "swin3d_b": Swin3D_B_Weights.KINETICS400_V1,
    "mvit_v2_s": MViT_V2_S_Weights.KINETICS400_V1,
}


def read_weight_file(path: Path) -> dict[str, Tensor]:
    """Return the tensors by name of the file of weights at `path`, floating point ones as float32.

    `.safetensors` and `.pth` files hold a state dict; `.pth` and `.pth.tar` ones may also be checkpoints of TSM's
    program, mmaction2, 3D-ResNets-PyTorch, MARS and pseudo-3d-pytorch, with the state dict under `state_dict`; `.pyth`
    ones are checkpoints of PyTorchVideo's model zoo, with the state dict under `model_state`. Names and shapes become
    those of our networks, which are the authors' or torchvision's but for some classifiers and P3D's last stage.

    Nothing is unpickled but plain containers and tensors (`weights_only`). Raises InputError where the file is
    missing, damaged, of another kind, or holds something else than a flat mapping of names to tensors.
    """
    if not path.is_file():
        raise InputError("there is no such file of weights", file=path)
    try:
        match path.suffixes[-2:]:
            case [*_, ".safetensors"]:
                state = load_file(path)
            case [*_, ".pth" | ".pyth"] | [".pth", ".tar"]:
                state = torch.load(path, map_location="cpu", weights_only=True)
            case _:
                raise InputError("weights are read from .safetensors, .pth, .pth.tar and .pyth files only", file=path)
    except InputError:
        raise
    # Damaged bytes make the readers raise nearly anything; whichever it is, the file is what is wrong.
    except Exception as error:
        raise InputError(
            f"cannot be read as weights ({_reason(error)})",
            file=path,
            hint="the file is damaged, or holds objects other than tensors: save a plain state dict",
        ) from error
    if path.suffix == ".pyth":
        return from_pytorchvideo(_checked(_model_state(state, path), path))
    try:
        return in_our_names(_checked(state_of(state), path))
    except ValueError as error:
        raise InputError(f"holds {error}", file=path, hint="docs/backbones.md says which files fit") from error


def _model_state(checkpoint: object, path: Path) -> object:
    """Return what a checkpoint of PyTorchVideo holds as the state of its network."""
    if not isinstance(checkpoint, dict) or "model_state" not in checkpoint:
        raise InputError(
            "expected a checkpoint of PyTorchVideo, with the weights under 'model_state'",
            file=path,
            hint="save a plain state dict under torchvision's names in a .pth file",
        )
    return checkpoint["model_state"]


def _checked(state: object, path: Path) -> dict[str, Tensor]:
    """Return `state` as float32 where it is a non-empty mapping of names to dense tensors."""
    if not isinstance(state, dict) or not state:
        kind = "an empty one" if state == {} else type(state).__name__
        raise InputError(f"expected a mapping of names to tensors, got {kind}", file=path)
    if faults := [fault for name, value in state.items() if (fault := _fault(name, value))]:
        raise InputError(
            "expected tensors by name and nothing else:\n" + summarise(faults),
            file=path,
            hint="where the state dict lies inside, under a key such as 'state_dict', save that one by itself",
        )
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def _fault(name: object, value: object) -> str | None:
    """Return what is wrong with an entry of a state dict, or None."""
    if not isinstance(name, str):
        return f"{name!r} is no name"
    if not isinstance(value, Tensor):
        return f"{name!r} is of type {type(value).__name__}"
    return None if value.layout == torch.strided else f"{name!r} is a sparse tensor"


def _reason(error: Exception) -> str:
    """Return why a reader failed, in one line.

    What torch says of anything that is no tensor, of a page of a web server and of damaged bytes too, is how to load it
    all the same, which would run what the file says. That is no advice to give on.
    """
    text = next(iter(str(error).splitlines()), "")
    if "weights_only" in text or "weights only" in text.lower():
        text = "nothing but tensors in plain containers is read, and it holds something else"
    return f"{type(error).__name__}: {text}"


def imagenet_state(backbone: str) -> dict[str, Tensor]:
    """Return torchvision's ImageNet weights of `backbone` without the classifier, whose classes mean nothing here.

    Downloaded once into torch's hub cache with its checksum verified. Version 1 of the weights, since the papers
    used them: version 2 came later, from a longer recipe, and would blur every comparison with their tables.
    Raises InputError where the backbone has none, or where they are neither cached nor can be downloaded.
    """
    return _without_classifier(_torchvision_state(_imagenet_weights(backbone), f"ImageNet weights of {backbone}"))


def kinetics_state(name: str) -> dict[str, Tensor]:
    """Return weights trained on Kinetics-400 without the classifier, under our names.

    resnet50 is PyTorchVideo's I3D; all others are torchvision's. Downloaded once into torch's hub cache; PyTorchVideo
    publishes no checksum. Nothing but tensors is read. Raises InputError for another name, and where the file is
    neither cached nor can be downloaded.
    """
    if name == "resnet50":
        return _without_classifier(_pytorchvideo_i3d())
    if name not in KINETICS:
        raise InputError(
            f"no weights of {name} trained on Kinetics",
            hint=f"there are those of an I3D with resnet50, and of {', '.join(KINETICS)}; choose one of them, or "
            "`init: imagenet`",
        )
    return _without_classifier(in_our_names(_torchvision_state(KINETICS[name], f"Kinetics weights of {name}")))


def _without_classifier(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(("fc.", "classifier."))}


def _torchvision_state(weights: WeightsEnum, subject: str) -> dict[str, Tensor]:
    """Return torchvision's `weights`; `subject` says in errors what they are."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    try:
        return weights.get_state_dict(progress=True, check_hash=True, map_location="cpu", weights_only=True)
    except Exception as error:  # no network, a proxy's page, a wrong checksum, a damaged file in the cache, …
        raise InputError(
            f"{subject}: {cached.name} could not be "
            f"{'read from' if cached.is_file() else 'downloaded into'} {cached.parent} ({_reason(error)})",
            hint=f"where this machine is offline, put {cached.name} from another one into {cached.parent}, "
            "or name a local file in the recipe: `init: path/to/weights.pth` (or .safetensors)",
        ) from error


def _pytorchvideo_i3d() -> dict[str, Tensor]:
    """Return PyTorchVideo's I3D, trained on Kinetics-400."""
    name = KINETICS_I3D.rpartition("/")[2]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not cached.is_file():
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(KINETICS_I3D, str(cached), progress=True)
        except Exception as error:  # no network, a proxy's refusal, no room, …
            raise InputError(
                f"Kinetics weights of I3D: {name} could not be downloaded into {cached.parent} ({_reason(error)})",
                hint=f"where this machine is offline, put {name} from another one into {cached.parent}, "
                "or name a local file in the recipe: `init: path/to/weights.pyth`",
            ) from error
    return read_weight_file(cached)


def _imagenet_weights(backbone: str) -> WeightsEnum:
    match backbone:
        case "resnet_tiny":
            raise InputError(
                "resnet_tiny has no ImageNet weights", hint="write `init: random`, or choose another backbone"
            )
        case "resnet18":
            return ResNet18_Weights.IMAGENET1K_V1
        case "resnet34":
            return ResNet34_Weights.IMAGENET1K_V1
        case "resnet50":
            return ResNet50_Weights.IMAGENET1K_V1
        case "resnet101":
            return ResNet101_Weights.IMAGENET1K_V1
        case "mobilenet_v2":
            return MobileNet_V2_Weights.IMAGENET1K_V1
        case _:
            raise InputError(f"no ImageNet weights of {backbone}", hint="write `init: random`, or choose a ResNet")
