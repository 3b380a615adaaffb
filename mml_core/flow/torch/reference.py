"""TV-L1 optical flow in plain PyTorch, on any device: the definition that faster engines are tested against.

It minimises, over the flow u from image I0 to image I1, the sum over pixels of

    lambda · |I1(x + u(x)) - I0(x)| + |∇u1| + |∇u2|

from coarse to fine (Zach, Pock, Bischof, DAGM 2007; Sánchez, Meinhardt-Llopis, Facciolo, IPOL 2013, where the scheme of
one level is algorithm 1). I1 is linearised around the flow found so far ("warp"), which makes the first term that of
|rho(u)|, rho(u) = rho_c + ∇I1w · u; an auxiliary field v next to u splits the problem in two that are solved in turn, v
pixel by pixel (the thresholding operator TH of 2007 is the clamp), u by its dual field p (Chambolle 2004):

    v = u - clamp(rho(u) / |∇I1w|², -lambda·theta, lambda·theta) · ∇I1w
    u = v + theta · div p
    p = (p + tau/theta · ∇u) / (1 + tau/theta · |∇u|)

Settings are called attachment (lambda), tightness (theta), time_step (tau), illumination (gamma). With illumination
u has a third component, rho(u) = rho_c + ∇I1w · u + gamma · u3: a smooth change of brightness.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from mml_core.config.flow import Tvl1
from mml_core.flow.engine import Solution
from mml_core.flow.levels import level_sizes
from mml_core.flow.torch import primitives
from mml_core.flow.torch.denormals import without_denormals

_EPSILON = torch.finfo(torch.float32).eps
#: Stands for a squared gradient of less than _EPSILON, where rho says nothing of u: there the limits of TH decide.
_NO_GRADIENT = 1e-30
#: Float32 values a pixel of a pair that are held at a time where memory is highest, in the median.
_FIELDS = 100


class _Warp(NamedTuple):
    """The data term of each pair, linearised."""

    gradient: torch.Tensor  # (P, C, H, W): ∇I1w, and gamma where C is 3
    squared: torch.Tensor  # (P, 1, H, W): |∇I1w|²
    rho_c: torch.Tensor  # (P, 1, H, W)


class _State(NamedTuple):
    """What iterations change; C is 2, or 3 with illumination."""

    u: torch.Tensor  # (P, C, H, W)
    p: torch.Tensor  # (P, C, 2, H, W)
    looked: torch.Tensor  # float64 (P,): for the rule of opencv-cuda, see _looks


class TorchTvl1:
    """TV-L1 as OpenCV computes it; a flow engine (see mml_core.flow.engine.PairEngine).

    Each pair stops by itself; on a processor pairs are computed one after another, which its caches favour.
    """

    name = "torch"

    def __init__(self, settings: Tvl1, device: torch.device = torch.device("cpu")) -> None:  # noqa: B008 (immutable)
        self.device = device
        self._settings = settings
        self._like_cuda = settings.variant == "opencv-cuda"
        self._resize = primitives.resize_corners if self._like_cuda else primitives.resize
        self._cubic = primitives.CATMULL_ROM_CUBIC if self._like_cuda else primitives.OPENCV_CUBIC
        self._step_limit = settings.attachment * settings.tightness
        self._dual_step = settings.time_step / settings.tightness

    def __call__(self, frames: torch.Tensor, pairs: torch.Tensor, initial: torch.Tensor | None = None) -> torch.Tensor:
        """Return the flow, float32 (P, 2, H, W)."""
        return self.solve(frames, pairs, initial).flow

    def working_bytes(self, height: int, width: int, pairs: int, frames: int) -> int:
        """Return how much memory a batch takes, in bytes: frames, flow, and the pairs that are side by side."""
        side_by_side = pairs if self.device.type == "cuda" else 1
        return 4 * (frames + 2 * pairs + _FIELDS * side_by_side) * height * width

    def solve(self, frames: torch.Tensor, pairs: torch.Tensor, initial: torch.Tensor | None = None) -> Solution:
        """Return flow and iterations of `pairs` (P, 2) of `frames` (F, H, W), from `initial` (P, 2, H, W) or from 0.

        Raises ValueError for frames of less than 16 pixels a side.
        """
        sizes = level_sizes(*frames.shape[1:], self._settings.scales, self._settings.scale_step)
        flow = torch.empty((len(pairs), 2, *sizes[0]), dtype=torch.float32, device=self.device)
        iterations = torch.zeros((len(pairs), len(sizes), self._settings.warps), dtype=torch.int32)
        batch = max(1, len(pairs)) if self.device.type == "cuda" else 1
        with torch.inference_mode(), without_denormals():
            for start in range(0, len(pairs), batch):
                part = slice(start, start + batch)
                images = frames[pairs[part].to(frames.device)].to(self.device, torch.float32)  # (P, 2, H, W)
                begin = None if initial is None else initial[part].to(self.device, torch.float32)
                flow[part], iterations[part] = self._solve(images, begin, sizes)
        return Solution(flow, iterations)

    def _solve(
        self, images: torch.Tensor, initial: torch.Tensor | None, sizes: list[tuple[int, int]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return flow and iterations (P, levels, warps) of `images` (P, 2, H, W)."""
        step = self._settings.scale_step
        pyramid = [images]
        for size in sizes[1:]:
            pyramid.append(self._resize(pyramid[-1], size, step))
        components = 3 if self._settings.illumination else 2
        u = images.new_zeros((len(images), components, *sizes[-1]))
        if initial is not None:
            for size in sizes[1:]:
                initial = self._resize(initial, size, step) * step
            u[:, :2] = initial
        counts = []
        for level in range(len(sizes) - 1, -1, -1):
            if level < len(sizes) - 1:
                u = self._resize(u, sizes[level])
                u = torch.cat([u[:, :2] * (1 / step), u[:, 2:]], 1)  # brightness, the third, is not a length
            u, count = self._solve_level(pyramid[level], u)
            counts.append(count)
        return u[:, :2], torch.stack(counts[::-1], 1)

    def _solve_level(self, images: torch.Tensor, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return flow and iterations (P, warps); the dual field lives as long as the level."""
        second = torch.cat([images[:, 1:], primitives.central_gradient(images[:, 1])], 1)  # (P, 3, H, W): I1, ∇I1
        p = u.new_zeros((*u.shape[:2], 2, *u.shape[2:]))
        counts = []
        for _ in range(self._settings.warps):
            u, p, count = self._solve_warp(u, p, self._linearise(images[:, :1], second, u))
            counts.append(count)
        return u, torch.stack(counts, 1)

    def _linearise(self, first: torch.Tensor, second: torch.Tensor, u: torch.Tensor) -> _Warp:
        flow = u[:, :2]
        warped = primitives.warp(second, flow, self._cubic, zero_outside=not self._like_cuda)
        gradient = warped[:, 1:]
        squared = gradient.square().sum(1, keepdim=True)
        rho_c = warped[:, :1] - (gradient * flow).sum(1, keepdim=True) - first
        if self._settings.illumination:
            gradient = torch.cat([gradient, torch.full_like(first, self._settings.illumination)], 1)
        return _Warp(gradient, torch.where(squared > _EPSILON, squared, _NO_GRADIENT), rho_c)

    def _solve_warp(
        self, u: torch.Tensor, p: torch.Tensor, warp: _Warp
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return u, p and the iterations (P,): each pair leaves the batch where it meets the stop rule."""
        settings = self._settings
        limit = settings.outer_iterations * settings.inner_iterations
        threshold = settings.stop_px**2 * u.shape[2] * u.shape[3]
        result_u, result_p = torch.empty_like(u), torch.empty_like(p)
        counts = torch.full((len(u),), limit, dtype=torch.int32)
        going = torch.arange(len(u), device=u.device)
        state = _State(u, p, torch.zeros(len(u), dtype=torch.float64, device=u.device))
        for iteration in range(limit):
            if settings.median_px > 1 and iteration % settings.inner_iterations == 0:
                smooth = primitives.median(state.u[:, :2], settings.median_px)
                state = state._replace(u=torch.cat([smooth, state.u[:, 2:]], 1))
            state, stops = self._iterate(state, warp, iteration, threshold)
            if iteration + 1 == limit:
                stops = torch.ones_like(stops)
            if stops.any():
                done = going[stops]
                result_u[done], result_p[done] = state.u[stops], state.p[stops]
                counts[done.cpu()] = iteration + 1
                going, state = going[~stops], _State(*(field[~stops] for field in state))
                warp = _Warp(*(field[~stops] for field in warp))
                if not len(going):
                    break
        return result_u, result_p, counts

    def _iterate(self, state: _State, warp: _Warp, iteration: int, threshold: float) -> tuple[_State, torch.Tensor]:
        """Return the state after an iteration, and which pairs (P,) stop there. Overwrites p, nothing else."""
        u, p, looked = state
        rho = (warp.gradient * u).sum(1, keepdim=True) + warp.rho_c
        step = (rho / warp.squared).clamp_(-self._step_limit, self._step_limit)
        v = torch.addcmul(u, step, warp.gradient, value=-1)
        new = v.add_(primitives.divergence(p), alpha=self._settings.tightness)
        du = primitives.forward_gradient(new)
        length = torch.hypot(du[:, :, 0], du[:, :, 1])[:, :, None]
        p.add_(du, alpha=self._dual_step).div_(length.mul_(self._dual_step).add_(1))
        counted = 2 if self._like_cuda else u.shape[1]
        change = (new - u)[:, :counted].square_().sum(1).sum((1, 2), dtype=torch.float64)
        looks = self._looks(looked, iteration, threshold)
        looked = torch.where(looks, change, looked - threshold)
        return _State(new, p, looked), looks & ~(change > threshold)

    def _looks(self, looked: torch.Tensor, iteration: int, threshold: float) -> torch.Tensor:
        """Return for which pairs (P,) the stop rule looks at the change of u: always, in OpenCV on the processor.

        On GPUs, where looking costs time, at every second iteration, and where the change was n times the threshold,
        after n iterations again at the earliest. looked: the change when it was looked at, less the threshold for each
        iteration since.
        """
        if not self._like_cuda:
            return torch.ones_like(looked, dtype=torch.bool)
        return (looked < threshold) & (iteration % 2 == 1 and threshold > 0)
