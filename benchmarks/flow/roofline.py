"""The roofline picture of TV-L1: what memory and issue rate allow, and where engines are.

Drawn from benchmarks/results/flow.csv by benchmarks/flow/speed.py, or by `python -m benchmarks.flow.roofline`: a panel
for each device in it, with the newest row of each engine, size and number of threads or batch. For an H200 that has not
been measured a panel shows only the lines that its published figures give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.flow.bounds import FLOP, SLOTS_GPU
from benchmarks.flow.table import read
from benchmarks.flow.timing import ALL

#: Of an H200, from its data sheet and published measurements: lines (label, bytes a second); lanes x clock a second.
_H200_MEMORY = (("HBM, 4.3 TB/s", 4.3e12), ("L2, about 6 TB/s", 6e12), ("shared memory, about 30 TB/s", 30e12))
_H200_SLOTS = 132 * 128 * 1.83e9
_COLOURS = {"opencv": "tab:gray", "torch": "tab:orange", "numba": "tab:blue", "triton": "tab:green"}
_MARKERS = "osD^vP"
_INTENSITIES = (0.05, 100.0)

Measured = Mapping[str, str]


def newest(table: Iterable[Measured]) -> list[Measured]:
    """Return the last row of each device, engine, variant, size, threads and batch, of all clips together."""
    keys = ("device", "engine", "variant", "size", "threads", "batch")
    rows = {tuple(row[key] for key in keys): row for row in table if row["clip"] == ALL and row["mpx_iterations_per_s"]}
    return list(rows.values())


def roof(intensity: float, bytes_per_s: float, slots_per_s: float, slots: int) -> float:
    """Return the most floating-point operations a second at `intensity` operations a byte."""
    return min(intensity * bytes_per_s, slots_per_s / slots * FLOP)


def draw(table: Iterable[Measured], path: Path) -> None:
    """Draw the picture of the measured rows."""
    rows = newest(table)
    devices = list(dict.fromkeys(row["device"] for row in rows))
    modelled = not any("H200" in device for device in devices)
    with mpl.rc_context({"svg.hashsalt": "flow", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(5.2 * (len(devices) + modelled), 4.4), layout="constrained")
        panels = list(figure.subplots(1, len(devices) + modelled, squeeze=False)[0])
        for axes, device in zip(panels, devices, strict=False):
            _measured_panel(axes, [row for row in rows if row["device"] == device])
        if modelled:
            _modelled_panel(panels[-1])
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def _measured_panel(axes: Axes, rows: list[Measured]) -> None:
    """Draw roofs of one thread or of the GPU, the higher ones of several threads, and a point for each row."""
    for number, threads in enumerate(sorted({row["threads"] for row in rows})):
        row = next(row for row in rows if row["threads"] == threads)
        label = f"{threads} thread{'s' if threads != '1' else ''}: " if threads != "0" else ""
        rates = float(row["copy_gb_per_s"]) * 1e9, float(row["gslots_per_s"]) * 1e9
        _roof_line(axes, *rates, int(row["slots_per_px_iteration"]), f"{label}bounds", "-" if number == 0 else "--")
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    for row in rows:
        speed = float(row["mpx_iterations_per_s"]) * 1e6 * FLOP
        several = f"{row['threads']} threads" if row["threads"] not in ("0", "1") else ""
        label = ", ".join(filter(None, (row["engine"], row["size"], several, row["batch"].strip("0") and row["batch"])))
        axes.plot(
            FLOP / float(row["bytes_per_px_iteration"]),
            speed / 1e9,
            _MARKERS[sizes.index(row["size"]) % len(_MARKERS)],
            color=_COLOURS[row["engine"]],
            fillstyle="none" if several else "full",
            label=label,
        )
    _finish(axes, f"{rows[0]['device']}, measured ({rows[0]['machine']})")


def _modelled_panel(axes: Axes) -> None:
    for (label, bytes_per_s), style in zip(_H200_MEMORY, ("-", "--", ":"), strict=True):
        _roof_line(axes, bytes_per_s, _H200_SLOTS, SLOTS_GPU, label, style)
    _finish(axes, "NVIDIA H200, modelled from published figures: not yet measured")


def _roof_line(axes: Axes, bytes_per_s: float, slots_per_s: float, slots: int, label: str, style: str) -> None:
    """Draw the memory bound up to the issue bound, and that from there on; an issue rate of 0 is not known."""
    highest = slots_per_s or float("inf")
    ridge = min(_INTENSITIES[1], highest / slots * FLOP / bytes_per_s)
    at = (_INTENSITIES[0], ridge, _INTENSITIES[1])
    axes.plot(at, [roof(x, bytes_per_s, highest, slots) / 1e9 for x in at], style, color="black", lw=1, label=label)


def _finish(axes: Axes, title: str) -> None:
    axes.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="Gflop/s", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6)
    iterations = axes.secondary_yaxis("right", functions=(lambda y: y / FLOP, lambda y: y * FLOP))
    iterations.set_ylabel("Gpx-iterations/s")


if __name__ == "__main__":
    import flow

    draw(read(flow.RESULTS), flow.PICTURE)
