"""What the search for videos that show the same takes, by numbers of videos, beside exhaustive and other searches.

Videos are synthetic small pictures, four seconds of a patch that wanders before a background, 20 videos before each.
Backgrounds are so alike that moments of two videos are near as often as in real clips of gestures, 3 in 10,000 pairs.
One in a hundred has a double besides: with noise, mirrored, or cut. A row each is appended to
benchmarks/results/doubles.csv: seconds of processor time and of the clock and the largest memory of a process that
holds the pictures (whose making does not count), and how many of the doubles were found.

Peers look up the same moments: all pairs by matrix products of NumPy, a k-d tree of SciPy (which the project used
before), and faiss where it is installed. They are run for up to `--most` videos; what they find goes through the same
bounds and comparisons, so that only the lookup differs.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.util
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

from benchmarks.machine import processor
from mml_core.doubles.match import compare, matches
from mml_core.doubles.motion import MIRROR, MIRROR_PLACES, SIDE, places
from mml_core.doubles.near import NEAR
from mml_core.doubles.sketch import Sketches, compiled, may_be_same, sketch

RESULTS = Path(__file__).parent / "results" / "doubles.csv"
VIDEOS = (2_000, 8_000, 20_000, 220_000)
PICTURES, A_BACKGROUND, ONE_IN = 48, 20, 100
#: Of a background, how much is its own, in parts of what all have in common.
OWN = 0.4
PROJECT = "mml"

#: From places (M, D) and those looked up in them to arrays of numbers of near ones, in parts.
Lookup = Callable[[np.ndarray, np.ndarray], Iterator[tuple[np.ndarray, np.ndarray]]]


class Row(NamedTuple):
    """A row of the table; ratio is its processor time over the project's."""

    date: str
    device: str
    threads: int
    versions: str
    search: str
    videos: int
    moments: int
    seconds: float
    processor_sec: float
    ratio: str
    peak_mib: float
    pairs: int
    doubles_found: str


class Measured(NamedTuple):
    """What one search of so many videos took and found."""

    moments: int
    seconds: float
    processor_sec: float
    peak_mib: float
    pairs: int
    planted: int
    found: int


def made_videos(count: int, seed: int = 0) -> tuple[list[np.ndarray], set[tuple[int, int]]]:
    """Return small pictures (T, SIDE, SIDE) uint8 of `count` videos, and the pairs of them that are doubles."""
    rng = np.random.default_rng(seed)
    originals = count - count // (ONE_IN + 1)
    videos: list[np.ndarray] = []
    while len(videos) < originals:
        videos += list(_one_background(rng))[: originals - len(videos)]
    pairs = set()
    for number in range(count - originals):
        source = number * ONE_IN % originals
        noisy = videos[source] + rng.normal(0, 1.5, videos[source].shape)
        noisy = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        videos.append((noisy, noisy[:, :, ::-1], noisy[7:40])[number % 3])
        pairs.add((source, len(videos) - 1))
    return videos, pairs


def _one_background(rng: np.random.Generator) -> np.ndarray:
    """Return pictures (A_BACKGROUND, T, SIDE, SIDE) of videos before one background."""
    own = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3)
    light = np.linspace(1, -1, SIDE)[:, None]  # from above, as in most pictures
    background = 128 + 40 * (light + OWN * (own - own.mean()) / own.std())
    times, middles = np.arange(PICTURES) / 12, np.arange(SIDE) + 0.5
    frames = np.broadcast_to(background, (A_BACKGROUND, PICTURES, SIDE, SIDE))
    speeds, phases = rng.uniform(0.15, 0.6, (2, 2, A_BACKGROUND, 1)), rng.uniform(0, 7, (2, 2, A_BACKGROUND, 1))
    at = SIDE * (0.5 + 0.5 * np.sin(2 * np.pi * speeds * times + phases).mean(axis=0))  # (2, A, T)
    down, across = np.exp(-((at[..., None] - middles) ** 2) / 6)  # (A, T, SIDE)
    patch = down[..., :, None] * across[..., None, :]
    frames = frames + patch * (rng.uniform(20, 235, (A_BACKGROUND, 1, 1, 1)) - frames)
    noise = rng.normal(0, 1, frames.shape[1:])
    return np.clip(np.rint(frames + noise), 0, 255).astype(np.uint8)


def by_products(found: np.ndarray, other: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs, by matrix products."""
    squares = (other**2).sum(axis=1)
    for first in range(0, len(found), 1024):
        part = found[first : first + 1024]
        i, j = np.nonzero((part**2).sum(axis=1)[:, None] + squares - 2 * (part @ other.T) <= NEAR**2)
        yield first + i, j


def by_tree(found: np.ndarray, other: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A k-d tree in the eight directions in which places differ most."""
    axes = np.linalg.eigh(found.T @ found + other.T @ other)[1][:, -8:]
    tree = KDTree(other @ axes)
    for first in range(0, len(found), 1024):
        part = found[first : first + 1024]
        near = tree.query_ball_point(part @ axes, NEAR)
        i = np.repeat(np.arange(len(part)), [len(one) for one in near])
        j = np.concatenate([*near, []]).astype(int)
        kept = np.linalg.norm(part[i] - other[j], axis=1) <= NEAR
        yield first + i[kept], j[kept]


def by_faiss(found: np.ndarray, other: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs, by faiss' exact index."""
    import faiss

    index = faiss.IndexFlatL2(other.shape[1])
    index.add(np.ascontiguousarray(other))
    for first in range(0, len(found), 1024):
        limits, _, numbers = index.range_search(np.ascontiguousarray(found[first : first + 1024]), NEAR**2)
        yield first + np.repeat(np.arange(len(limits) - 1), np.diff(limits.astype(np.int64))), numbers


PEERS: dict[str, Lookup] = {"NumPy, all pairs": by_products, "SciPy, k-d tree": by_tree, "faiss, all pairs": by_faiss}


def matches_by(videos: list[np.ndarray], look_up: Lookup) -> list[tuple[int, int]]:
    """Return the pairs of videos that show the same, of those that `look_up` finds."""
    sketches = sketch(videos)
    found = places(sketches.low, sketches.starts[sketches.owners] + sketches.times)
    same = set()
    for turned, other in enumerate((found, found * MIRROR_PLACES)):
        signs = MIRROR if turned else np.ones_like(MIRROR)
        for i, j in look_up(found, other):
            ahead = sketches.owners[i] < sketches.owners[j]
            pairs = _bounded(sketches, i[ahead], j[ahead], signs)
            for a, b, shift in np.unique(pairs, axis=0).tolist():
                if compare(videos[a], videos[b], bool(turned), shift) is not None:
                    same.add((a, b))
    return sorted(same)


def _bounded(sketches: Sketches, i: np.ndarray, j: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Return videos and shift (C, 3) of the pairs of moments whose videos may show the same."""
    owners, times = sketches.owners, sketches.times
    pairs = np.stack([owners[i], owners[j], times[j] - times[i]], axis=1)
    return pairs[_may_be(sketches.starts, sketches.low, sketches.rest, pairs, signs)]


@compiled
def _may_be(starts: np.ndarray, low: np.ndarray, rest: np.ndarray, pairs: np.ndarray, signs: np.ndarray) -> np.ndarray:
    kept = np.empty(len(pairs), np.bool_)
    for number in range(len(pairs)):
        a, b, shift = pairs[number]
        kept[number] = may_be_same(starts, low, rest, a, b, signs, shift)
    return kept


def measured(search: str, count: int, threads: int) -> Measured:
    """Make `count` videos and search them, after a search of a few, which compiles what is to be compiled."""
    videos, planted = made_videos(count)

    def run(some: list[np.ndarray]) -> list[tuple[int, int]]:
        if search == PROJECT:
            return [(one.a, one.b) for one in matches(some, threads)]
        return matches_by(some, PEERS[search])

    run(videos[:50])
    wall, used = time.perf_counter(), time.process_time()
    found = run(videos)
    wall, used = time.perf_counter() - wall, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    moments = len(sketch(videos).owners)
    return Measured(moments, wall, used, peak, len(found), len(planted), len(planted & set(found)))


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="+", default=VIDEOS, help="numbers of videos")
    parser.add_argument("--most", type=int, default=8_000, help="videos of peers, at most")
    parser.add_argument("--threads", type=int, default=1, help="of the project's search; those of peers are one")
    options = parser.parse_args()
    searches = [PROJECT, *(name for name in PEERS if "faiss" not in name or importlib.util.find_spec("faiss"))]
    packages = [
        name for name in ("numpy", "numba", "scipy", "faiss-cpu") if importlib.util.find_spec(name.partition("-")[0])
    ]
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    for count in options.videos:
        ours = 0.0
        for search in searches if count <= options.most else searches[:1]:
            with multiprocessing.get_context("spawn").Pool(1) as pool:  # memory is of this search alone
                took = pool.apply(measured, (search, count, options.threads))
            ours = ours or took.processor_sec
            threads = options.threads if search == PROJECT else 1
            row = Row(
                *(date, processor(), threads, versions, search, count, took.moments),
                *(round(took.seconds, 2), round(took.processor_sec, 2), f"{took.processor_sec / ours:.2f}"),
                *(round(took.peak_mib), took.pairs, f"{took.found} of {took.planted}"),
            )
            with RESULTS.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if file.tell() == 0:
                    writer.writerow(Row._fields)
                writer.writerow(row)
            print(", ".join(f"{name} {value}" for name, value in row._asdict().items()), flush=True)


if __name__ == "__main__":
    main()
