"""All ensembles of one network a modality, counted at once: MML, Appendix C.

An ensemble's scores are sums of its members' logits, (a + b) + c in float64, as `fusion.fuse` adds them, and a video is
correct by these sums as in `metrics.hits`, without any tolerance. It is fast because most answers are known without the
sums: no network of the last group can make up for a class that is behind the true one by more than it can give; and
once enough classes are ahead by more than any network can take, the others do not matter. Such a margin is only relied
on where it is larger than all rounding errors together; sums that are closer are made and compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pandas as pd

from mml_core.runtime.machine_code import kept_njit

#: Of numbers up to M in size, a margin and the sums that it speaks of are together wrong by less than 32 M u, where
#: u = 2^-53 is the unit roundoff of float64: at most 10 additions and subtractions, each off by u times its result.
CLEAR = 64 * 2.0**-53

_compiled = kept_njit(nogil=True, error_model="numpy")


def count_correct(
    groups: Sequence[np.ndarray], labels: np.ndarray, k: int = 1, *, threads: int | None = None
) -> np.ndarray:
    """Return how many videos each ensemble of one network a group classifies correctly.

    `groups` holds, for each of two or three modalities, the video logits (M_i, V, N) of its networks, all of the same
    videos; `labels` (V,) are the true classes, 0..N-1. A video is correct where its class is among the k best; among
    equal sums the class with the smaller index comes first. The result is int64 (M_1, M_2) or (M_1, M_2, M_3), values
    0..V. `threads`, by default one a processor, has no influence on it.

    Raises ValueError for other numbers of groups, shapes that do not fit, labels that are no classes, and logits that
    are not finite.
    """
    arrays = [np.ascontiguousarray(group, dtype=np.float64) for group in groups]
    largest = _check(arrays, labels, k)
    sizes = [len(array) for array in arrays]
    if len(arrays) == 2:  # a pair is a triple with a member that says nothing
        arrays.insert(0, np.zeros((1, *arrays[0].shape[1:])))
    threads = threads or numba.config.NUMBA_NUM_THREADS
    counts = np.zeros((threads, *(len(array) for array in arrays)), np.int32)
    true = labels.astype(np.int64)
    with ThreadPoolExecutor(threads) as pool:
        work = [pool.submit(_count, *arrays, true, k, CLEAR * largest, counts, number) for number in range(threads)]
        for part in work:
            part.result()
    return counts.sum(axis=0, dtype=np.int64).reshape(sizes)


def sum_of_positions(correct: np.ndarray) -> list[np.ndarray]:
    """Return each network's sum of positions among all ensembles, as in MML, Table XIII: smaller is better.

    `correct` (M_1, M_2, ...) says how many videos each ensemble classifies correctly. All n ensembles are ranked by it,
    the best at position 0, the last at n - 1; ensembles with equal numbers share the mean of their positions, so that
    no order among them matters. Returns, for each group, the sums (M_i,) float64 over the ensembles that a network is
    in; those of a group total n (n - 1) / 2.
    """
    positions = pd.Series(correct.ravel()).rank(ascending=False).to_numpy().reshape(correct.shape) - 1
    axes = range(correct.ndim)
    return [positions.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes]


def _check(arrays: Sequence[np.ndarray], labels: np.ndarray, k: int) -> float:
    """Return the largest absolute logit."""
    if len(arrays) not in (2, 3):
        raise ValueError(f"expected two or three groups of networks, got {len(arrays)}")
    shapes = [array.shape for array in arrays]
    if len({shape[1:] for shape in shapes}) > 1 or len(shapes[0]) != 3 or 0 in np.concatenate(shapes):
        raise ValueError(f"expected logits (networks, videos, classes) of the same videos, none empty, got {shapes}")
    videos, classes = shapes[0][1:]
    if labels.shape != (videos,) or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"expected {videos} labels from 0 to {classes - 1}, got shape {labels.shape}")
    if k < 1:
        raise ValueError(f"expected k of at least 1, got {k}")
    largest = float(np.max([[array.max(), -array.min()] for array in arrays]))  # NaN if one is: max() would not say
    if not np.isfinite(6 * largest):  # that is how large sums and margins can become
        raise ValueError("expected finite logits, and finite sums of them")
    return largest


@_compiled
def _count(
    first: np.ndarray,
    second: np.ndarray,
    third: np.ndarray,
    labels: np.ndarray,
    k: int,
    clear: float,
    counts: np.ndarray,
    number: int,
) -> None:
    """Count for the videos `number`, `number` + threads, ... of three groups (M_i, V, N) in counts[number], int32."""
    for video in range(number, len(labels), len(counts)):
        _count_video(first, second, third, video, labels[video], k, clear, counts[number])


@_compiled
def _count_video(
    first: np.ndarray,
    second: np.ndarray,
    third: np.ndarray,
    video: int,
    true: int,
    k: int,
    clear: float,
    counts: np.ndarray,
) -> None:
    """Add 1 to counts (M_1, M_2, M_3) of the ensembles that have `true` among the k best classes of `video`."""
    least, most = _gains(third, video, true)
    reach = _gains(first, video, true)[1] + _gains(second, video, true)[1] + most
    reach[true] = -np.inf
    rivals = np.flatnonzero(reach >= -clear)  # the classes that are ahead in some ensemble, as far as one can tell
    least, most = least[rivals], most[rivals]
    a, b, c = _gather(first, video, rivals), _gather(second, video, rivals), _gather(third, video, rivals).T.copy()
    earlier, own_c = rivals < true, third[:, video, true].copy()
    open_rivals, ahead = np.empty(len(rivals), np.int64), np.empty(len(third), np.int32)
    for i in range(len(first)):
        for j in range(len(second)):
            own = first[i, video, true] + second[j, video, true]
            certain, undecided = _judge(a[i], b[j], own, least, most, k, clear, open_rivals)
            if certain < k:
                ahead[:] = certain
                for rival in open_rivals[:undecided]:
                    _compare(a[i, rival] + b[j, rival], c[rival], own, own_c, earlier[rival], ahead)
                for network in range(len(third)):
                    counts[i, j, network] += ahead[network] < k


@_compiled
def _gains(group: np.ndarray, video: int, true: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each class is ahead of `true` at least and at most, (N,) each, over the networks of a group."""
    least, most = np.full(group.shape[2], np.inf), np.full(group.shape[2], -np.inf)
    for network in range(len(group)):
        for rival in range(group.shape[2]):
            gain = group[network, video, rival] - group[network, video, true]
            least[rival] = gain if gain < least[rival] else least[rival]
            most[rival] = gain if gain > most[rival] else most[rival]
    return least, most


@_compiled
def _gather(group: np.ndarray, video: int, rivals: np.ndarray) -> np.ndarray:
    """Return the logits of the R `rivals` alone: (M, V, N) -> (M, R)."""
    gathered = np.empty((len(group), len(rivals)))
    for network in range(len(group)):
        for place in range(len(rivals)):
            gathered[network, place] = group[network, video, rivals[place]]
    return gathered


@_compiled
def _judge(
    a: np.ndarray,
    b: np.ndarray,
    own: float,
    least: np.ndarray,
    most: np.ndarray,
    k: int,
    clear: float,
    open_rivals: np.ndarray,
) -> tuple[int, int]:
    """Return how many rivals are ahead whatever the third member, k at most, and how many it decides on.

    a, b: logits of the rivals (R,), own: a + b of the true class; least, most: what third members add to a margin.
    The places of the rivals to decide on are written to `open_rivals` (R,).
    """
    certain = undecided = 0
    for rival in range(len(a)):
        margin = (a[rival] + b[rival]) - own
        if margin + least[rival] > clear:
            certain += 1
            if certain == k:
                break
        elif margin + most[rival] >= -clear:
            open_rivals[undecided] = rival
            undecided += 1
    return certain, undecided


@_compiled
def _compare(total: float, c: np.ndarray, own: float, own_c: np.ndarray, earlier: bool, ahead: np.ndarray) -> None:
    """Add 1 to ahead (M_3,) where a rival's sum, total + c, is ahead of the true class's; `earlier` ones win ties."""
    if earlier:
        for network in range(len(c)):
            ahead[network] += total + c[network] >= own + own_c[network]
    else:
        for network in range(len(c)):
            ahead[network] += total + c[network] > own + own_c[network]
