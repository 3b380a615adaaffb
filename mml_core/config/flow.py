"""Flow as a modality: how it is stored, the algorithms that it can choose, and their parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mml_core.config.base import Quality, Strict, added
from mml_core.config.beside import BesidePattern


class Tvl1(Strict):
    """TV-L1 (Zach, Pock, Bischof 2007) with the parameters and defaults of OpenCV's DualTVL1OpticalFlow."""

    method: Literal["tvl1"] = "tvl1"
    variant: Literal["opencv", "opencv-cuda"] = Field(
        default="opencv",
        description="whose numerical details: opencv, as its processor version computes; opencv-cuda, as its GPU version, with which the published flow data sets were made",
    )
    time_step: float = Field(default=0.25, gt=0, le=0.25, description="time step of the dual update (tau)")
    attachment: float = Field(
        default=0.15, gt=0, le=1000, description="weight of the data term (lambda): smaller is smoother"
    )
    tightness: float = Field(default=0.3, gt=0, le=1000, description="coupling of flow and auxiliary field (theta)")
    illumination: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="weight of a field that explains changes of brightness (gamma); 0 leaves it out; only the engines torch and opencv have it",
    )
    scales: int = Field(
        default=5, ge=1, le=10, description="levels of the image pyramid (nscales); none gets below 16 pixels a side"
    )
    scale_step: float = Field(default=0.8, ge=0.1, lt=1, description="size ratio of neighbouring levels (scaleStep)")
    warps: int = Field(default=5, ge=1, le=20, description="warps a level: how often the images are linearised anew")
    stop_px: float = Field(
        default=0.01,
        ge=0,
        le=100,
        description="a warp ends once the flow changes by less than this many pixels an iteration, as root mean square (epsilon)",
    )
    inner_iterations: int = Field(
        default=30, ge=1, le=1000, description="iterations between two median filterings (innerIterations)"
    )
    outer_iterations: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="median filterings a warp at most (outerIterations); opencv-cuda, which has none, does inner_iterations · outer_iterations iterations a warp at most",
    )
    median_px: Literal[1, 3, 5] = Field(
        default=5,
        description="aperture of the median filter (medianFiltering); 1 is none, the only value of opencv-cuda and its default",
    )

    @model_validator(mode="before")
    @classmethod
    def _median_default(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("variant") == "opencv-cuda":
            return {"median_px": 1, **data}
        return data

    @model_validator(mode="after")
    def _median_of_variant(self) -> Tvl1:
        if self.variant == "opencv-cuda" and self.median_px != 1:
            raise ValueError("median_px: variant opencv-cuda has no median filter, leave it out or set it to 1")
        return self


class Dis(Strict):
    """Dense inverse search (Kroeger et al. 2016) by OpenCV, with one of its presets."""

    method: Literal["dis"]
    preset: Literal["ultrafast", "fast", "medium"] = Field(
        default="medium", description="OpenCV's preset: finest scale, patch size and stride, refinement"
    )


class Farneback(Strict):
    """Polynomial expansion (Farnebäck 2003) by OpenCV."""

    method: Literal["farneback"]
    scales: int = Field(default=5, ge=1, le=10, description="levels of the image pyramid")
    scale_step: float = Field(default=0.5, gt=0, lt=1, description="size ratio of neighbouring levels")
    window_px: int = Field(default=13, ge=3, le=101, description="side of the averaging window")
    iterations: int = Field(default=10, ge=1, le=100, description="iterations a level")
    neighbourhood_px: Literal[5, 7] = Field(default=5, description="side of the neighbourhood that a polynomial fits")
    smoothing_px: float = Field(
        default=1.1, gt=0, le=5, description="standard deviation of the Gaussian that weights the neighbourhood"
    )


class MotionVectors(Strict):
    """The motion vectors that the video's own codec carries: no computation, but for its blocks, not for pixels."""

    method: Literal["motion_vectors"]


class FlowFiles(Strict):
    """Fields that another program made (PWC-Net and its like), read from files in the data set's folder of videos.

    One field for each pair of neighbouring frames as they are stored, of their size, in pixels: x to the right, then y
    downwards. A video without them, or with fields of another number or size, is quarantined in this modality.
    """

    method: Literal["files"]
    pattern: BesidePattern = Field(
        description="where those of a video are, below the folder of videos: {path} is the video's own path there without "
        "its ending, {id} its id; an HDF5 file where it ends in .h5 (the dataset `flow`, float32 (T - 1, 2, H, W), as "
        "mml flow writes it), else a folder of .flo files, in the order of their names",
    )


FlowAlgorithm = Annotated[Tvl1 | Dis | Farneback | MotionVectors | FlowFiles, Field(discriminator="method")]

#: Programs that compute TV-L1; `auto` takes the fastest that can run.
Tvl1Engine = Literal["auto", "triton", "numba", "torch", "opencv"]

#: JPEG quality of stored fields, unless a data set says otherwise.
_QUALITY = 90


class FlowModality(Strict):
    """Optical flow between neighbouring frames: N-1 fields for N frames."""

    kind: Literal["flow"] = "flow"
    bound_px: float = Field(
        default=20.0, gt=0, le=512, description="displacements are clipped to this many pixels a frame"
    )
    codec: Literal["jpeg", "lz4"] = added(
        "jpeg",
        description="how fields are stored: jpeg, with `quality`; lz4, without loss, in about four times the bytes, and decoded in "
        "a third of the time",
    )
    quality: Quality = _QUALITY
    algorithm: FlowAlgorithm = Field(
        default=Tvl1(), description="how it is computed, and with what parameters: TV-L1 unless `method` says otherwise"
    )

    @model_validator(mode="after")
    def _quality_of_jpegs(self) -> FlowModality:
        if self.codec != "jpeg" and self.quality != _QUALITY:
            raise ValueError(f"quality: codec {self.codec} stores without loss, leave it out")
        return self

    def identifying(self, content: dict[str, Any]) -> dict[str, Any]:
        """Leave out the quality of JPEGs where there are none."""
        return content if self.codec == "jpeg" else {key: value for key, value in content.items() if key != "quality"}

    def can_use_gpu(self, engine: Tvl1Engine) -> bool:
        """Whether flow by `engine` is computed on a GPU where there is one: TV-L1 is, unless by a processor's engine."""
        return self.algorithm.method == "tvl1" and engine not in ("numba", "opencv")
