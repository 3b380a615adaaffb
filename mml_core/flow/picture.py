"""Flow as pictures: the colour code of Baker et al. 2011 ("A Database and Evaluation Methodology for Optical Flow").

The direction of a displacement chooses one of the 55 hues of its wheel, between which colours are interpolated: right
is red, down is yellow, left is a light blue, up is violet. The length is the saturation: white does not move. The wheel
itself is torchvision's; what is added here is a scale that stays the same from picture to picture.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mml_core.runtime import light_torchvision  # noqa: F401 - before torchvision is imported as it is

# isort: split
from torchvision.utils import flow_to_image

#: Lengths looked at to choose a scale: enough for a percentile, few enough to sort.
_SAMPLES = 1_000_000
#: Just below 1, since torchvision's colours wrap around where rounding gets a length above the largest.
_FULL = 1 - 2**-16


def flow_colours(flow: torch.Tensor, max_px: float) -> torch.Tensor:
    """Return RGB pictures, uint8 (N, 3, H, W), of `flow`, float32 (N, 2, H, W), in pixels.

    Displacements of `max_px` pixels and more get the full colour of their direction.
    """
    scaled = flow / max_px
    scaled = scaled * (_FULL / torch.linalg.vector_norm(scaled, dim=1, keepdim=True).clamp(min=_FULL))
    # torchvision divides by the largest length that it is given: a column with length 1 makes that the same always
    rule = torch.zeros_like(scaled[..., :1])
    rule[:, 0] = 1
    return flow_to_image(torch.cat([scaled, rule], dim=3))[..., :-1]


def usual_largest_px(flow: torch.Tensor, percentile: float = 99) -> float:
    """Return the given percentile of the displacements' lengths in `flow` (N, 2, H, W), at least 1 pixel."""
    lengths = torch.linalg.vector_norm(flow, dim=1).flatten()
    some = lengths[:: max(1, len(lengths) // _SAMPLES)]
    return max(1.0, float(np.percentile(some.numpy(force=True), percentile)))


def beside(frame: NDArray[np.uint8], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture (H', 2 W, 3) with `frame` on the left and `colours` on the right, both (H, W, 3).

    H' is H, with the last row repeated where H is odd: H.264 in its usual form needs even sides.
    """
    both = np.concatenate([frame, colours], axis=1)
    return np.pad(both, ((0, both.shape[0] % 2), (0, 0), (0, 0)), mode="edge")
