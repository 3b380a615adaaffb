"""Counting the correct videos of all ensembles of one network a modality, against summing and comparing with NumPy.

Prints a row per case and number of threads and appends it to benchmarks/results/ensembles.csv. Scores are synthetic:
what all networks see in a video, what those of a modality see, and what one sees alone, so that networks agree about
as much as trained ones do (accuracies of single networks and ensembles are printed). The plain way, in the same run on
the same scores and with one thread, adds whole arrays of logits and takes the best class of each video (for k > 1:
mml_core.evaluation.metrics.hits). Where there are very many ensembles it does a random part of them, and its time is
scaled up to all. Counts of the two have to be equal. Processor time, over all threads, is given beside the time passed:
the two differ where other programs keep the processor busy.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from itertools import product
from math import prod
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

from benchmarks.machine import processor
from mml_core.evaluation.combinations import count_correct
from mml_core.evaluation.metrics import hits

RESULTS = Path(__file__).parent / "results" / "ensembles.csv"
CLASSES = 174
PLAIN_ENSEMBLES = 900


class Case(NamedTuple):
    """Networks of each modality, videos, and how many best classes count as right."""

    networks: tuple[int, ...]
    videos: int
    k: int


#: MML, Table XIII, and Table XI with its two metrics, on the validation set of Something-Something-v2; many networks.
CASES = (
    Case((13, 11, 6), 24777, 1),
    Case((13, 11), 24777, 1),
    Case((13, 11), 24777, 5),
    Case((100, 100, 100), 2000, 1),
)


class Row(NamedTuple):
    """A row of the table; the ratios are the plain way's time over this project's."""

    date: str
    device: str
    versions: str
    networks: str
    videos: int
    classes: int
    k: int
    threads: int
    sec: float
    processor_sec: float
    plain_ensembles: int  # done the plain way
    plain_sec: float  # scaled up to all ensembles
    plain_processor_sec: float
    ratio: float
    processor_ratio: float


class Times(NamedTuple):
    """Of a call."""

    sec: float
    processor_sec: float  # of all threads


def make_scores(networks: Sequence[int], videos: int, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the logits (M_i, V, N) of each modality's networks, and labels (V,)."""
    labels = rng.integers(CLASSES, size=videos)
    common = rng.normal(scale=1.5, size=(videos, CLASSES))
    common[np.arange(videos), labels] += rng.normal(5.5, 3.0, size=videos)
    groups = []
    for count in networks:
        seen = common + rng.normal(size=common.shape)
        groups.append(np.stack([seen + rng.normal(size=common.shape) for _ in range(count)]))
    return groups, labels


def count_plainly(
    groups: Sequence[np.ndarray], labels: np.ndarray, k: int, firsts: Sequence[tuple[int, ...]]
) -> np.ndarray:
    """Return the counts, one row for each of `firsts` (the networks but the last), one column a last network."""
    counts = []
    for chosen in firsts:
        total = reduce(np.add, [group[index] for group, index in zip(groups[:-1], chosen, strict=True)])
        for last in groups[-1]:
            scores = total + last
            counts.append(int(((scores.argmax(axis=1) == labels) if k == 1 else hits(scores, labels, k)).sum()))
    return np.array(counts).reshape(len(firsts), -1)


def measure(case: Case, thread_counts: Sequence[int], repetitions: int) -> Iterator[tuple[int, Times, int, Times]]:
    """Yield threads, times, ensembles done the plain way and its times for all; raises where counts differ."""
    rng = np.random.default_rng(0)
    groups, labels = make_scores(case.networks, case.videos, rng)
    firsts = list(product(*map(range, case.networks[:-1])))
    rng.shuffle(firsts)
    firsts = [tuple(map(int, chosen)) for chosen in firsts[: max(1, PLAIN_ENSEMBLES // case.networks[-1])]]
    plain_times, plain = fastest(lambda: count_plainly(groups, labels, case.k, firsts), repetitions)
    scaled = Times(*(sec * prod(case.networks) / plain.size for sec in plain_times))
    alone = np.mean([hits(group[0], labels, case.k).mean() for group in groups])
    print(f"{case}: {alone:.1%} correct alone, {plain.mean() / case.videos:.1%} in ensembles", flush=True)
    for threads in thread_counts:
        times, counts = fastest(partial(count_correct, groups, labels, case.k, threads=threads), repetitions)
        if not all((counts[chosen] == row).all() for chosen, row in zip(firsts, plain, strict=True)):
            raise RuntimeError(f"counts differ from those of the plain way for {case}")
        yield threads, times, plain.size, scaled


def fastest(count: Callable[[], np.ndarray], repetitions: int) -> tuple[Times, np.ndarray]:
    """Return the shortest of the times of several calls, each of the two by itself, and what they return."""
    passed, used = [], []
    for _ in range(repetitions):
        began, used_before = time.perf_counter(), time.process_time()
        counts = count()
        passed.append(time.perf_counter() - began)
        used.append(time.process_time() - used_before)
    return Times(min(passed), min(used)), counts


def main() -> None:
    """Measure and append."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, numba.config.NUMBA_NUM_THREADS}))
    parser.add_argument("--repetitions", type=int, default=3, help="of which the fastest counts")
    parser.add_argument("--output", type=Path, default=RESULTS, help="CSV file that rows are appended to")
    options = parser.parse_args()
    count_correct([np.ones((1, 1, 2))] * 2, np.zeros(1, int))  # compiles
    versions = f"numpy {np.__version__}, numba {numba.__version__}"
    about = (datetime.datetime.now(datetime.UTC).date().isoformat(), processor(), versions)
    options.output.parent.mkdir(exist_ok=True)
    with options.output.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        for case in CASES:
            networks = "x".join(map(str, case.networks))
            for threads, ours, done, plain in measure(case, options.threads, options.repetitions):
                what = (networks, case.videos, CLASSES, case.k, threads)
                ratios = [round(theirs / sec, 1) for theirs, sec in zip(plain, ours, strict=True)]
                times = (*(round(sec, 3) for sec in ours), done, *(round(sec, 1) for sec in plain))
                writer.writerow(Row(*about, *what, *times, *ratios))
                print(
                    f"  {threads} threads: {ours.sec:.3g} s, NumPy {plain.sec:.3g} s: {ratios[0]} times as fast; "
                    f"processor time {ours.processor_sec:.3g} s and {plain.processor_sec:.3g} s: {ratios[1]} times",
                    flush=True,
                )


if __name__ == "__main__":
    main()
