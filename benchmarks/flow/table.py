"""The table of speeds: its rows, its file, and the part of it that people read."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.flow.bounds import Bounds, bytes_per_px_iteration, issue_share, memory_share
from benchmarks.flow.entrants import Memory
from benchmarks.flow.timing import ALL, Timing


class Row(NamedTuple):
    """A row of the table. What does not apply is empty; `ratio` is to the peer in the same run, a share of a bound."""

    date: str
    device: str
    machine: str
    versions: str
    engine: str
    variant: str
    size: str
    threads: int
    batch: int
    clip: str
    pairs: int
    pairs_per_s: float
    pairs_per_s_per_core: float | str
    peer: str
    ratio: float | str
    px_iterations_per_pair: int | str
    mpx_iterations_per_s: float | str
    bytes_per_px_iteration: float | str
    copy_gb_per_s: float
    gslots_per_s: float
    slots_per_px_iteration: int
    memory_share: float | str
    issue_share: float | str
    host_peak_mb: int | str
    gpu_peak_mb: int | str


def rows(
    timings: Sequence[Timing], about: Sequence[str], size: str, bounds: Bounds, memory: Mapping[str, Memory], peer: str
) -> Iterator[Row]:
    """Yield the rows of timings with the same threads and batches; about: date, device, machine, versions."""
    peers = {timing.clip: timing.seconds for timing in timings if timing.entrant.engine == peer}
    for entrant, clip, pairs, seconds, work in timings:
        rate, known = work / seconds, work > 0
        peaks = memory.get(entrant.engine) if clip == ALL else None
        yield Row(
            *about,
            entrant.engine,
            entrant.variant,
            size,
            entrant.threads,
            entrant.batch,
            clip,
            pairs,
            _rounded(pairs / seconds),
            _rounded(pairs / seconds / entrant.threads) if entrant.threads else "",
            peer if clip in peers else "",
            _rounded(peers[clip] / seconds) if clip in peers else "",
            work // pairs if known else "",
            _rounded(rate / 1e6) if known else "",
            bytes_per_px_iteration(entrant.engine) if known else "",
            _rounded(bounds.bytes_per_s / 1e9),
            _rounded(bounds.slots_per_s / 1e9),
            bounds.slots,
            _rounded(memory_share(rate, entrant.engine, bounds)) if known else "",
            _rounded(issue_share(rate, bounds)) if known and bounds.slots_per_s else "",
            peaks.host_mb if peaks else "",
            peaks.gpu_mb if peaks and not entrant.threads else "",
        )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def append(table: Sequence[Row], path: Path) -> None:
    """Append rows to a CSV file, with a header where it is new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(Row._fields)
        writer.writerows(table)


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by column."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


_SHOWN = {
    "engine": "engine",
    "variant": "variant",
    "size": "size",
    "threads": "threads",
    "batch": "batch",
    "clip": "clip",
    "pairs_per_s": "pairs/s",
    "pairs_per_s_per_core": "per core",
    "ratio": "times the peer",
    "mpx_iterations_per_s": "Mpx-iterations/s",
    "memory_share": "of the memory bound",
    "issue_share": "of the issue bound",
    "host_peak_mb": "host MB, 64 pairs",
    "gpu_peak_mb": "GPU MB, 64 pairs",
}


def markdown(table: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, columns without any content left out."""
    columns = [name for name in _SHOWN if any(getattr(row, name) not in ("", 0) for row in table)]
    lines = [[_SHOWN[name] for name in columns], ["---"] * len(columns)]
    lines += [[_cell(name, getattr(row, name)) for name in columns] for row in table]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(name: str, value: object) -> str:
    if name.endswith("_share") and isinstance(value, float):
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return "" if value in ("", 0) else str(value)
