"""What is said of videos as text: for people, as JSON, as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mml_core.inference.predictions import VideoPrediction, best_classes

Form = Literal["text", "json", "csv"]
CSV_COLUMNS = ("video", "start_sec", "end_sec", "rank", "label", "probability", "error")


def said_of(prediction: VideoPrediction, form: Form, count: int) -> str:
    """Return what is said of a video, with the `count` likeliest classes of each window; ends with a line's end."""
    match form:
        case "text":
            return _text(prediction, count)
        case "json":
            return json.dumps(as_data(prediction, count), ensure_ascii=False) + "\n"
        case "csv":
            return _csv(prediction, count)


def heading(form: Form) -> str:
    """Return what comes before all videos."""
    return ",".join(CSV_COLUMNS) + "\n" if form == "csv" else ""


def as_data(prediction: VideoPrediction, count: int) -> dict[str, Any]:
    """Return a prediction as plain data: an object of JSON a video."""
    data: dict[str, Any] = {"video": printable(prediction.path)}
    if prediction.windows:
        data["top"] = _top(prediction.classes, prediction.probabilities, count)
        data["windows"] = [
            {
                "start_sec": round(window.start_sec, 3),
                "end_sec": round(window.end_sec, 3),
                "top": _top(prediction.classes, window.probabilities, count),
            }
            for window in prediction.windows
        ]
    return data | ({"error": prediction.error} if prediction.error is not None else {})


def _top(classes: Sequence[str], probabilities: np.ndarray, count: int) -> list[dict[str, Any]]:
    return [
        {"label": label, "probability": round(value, 6)} for label, value in best_classes(classes, probabilities, count)
    ]


def _text(prediction: VideoPrediction, count: int) -> str:
    name = printable(prediction.path)
    lines = []
    if len(prediction.windows) == 1:
        lines.append(f"{name}: {_shares(prediction.top(count))}")
    elif prediction.windows:
        lines.append(f"{name}: {_shares(prediction.top(count))} (mean of {len(prediction.windows)} windows)")
        for window in prediction.windows:
            best = best_classes(prediction.classes, window.probabilities, count)
            lines.append(f"  {_time(window.start_sec)} to {_time(window.end_sec)}  {_shares(best)}")
    if prediction.error is not None:
        lines.append(f"{name}: not used: {prediction.error}")
    return "\n".join(lines) + "\n"


def _shares(best: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{label} {100 * probability:.1f} %" for label, probability in best)


def _time(seconds: float) -> str:
    """Return a time as 1:02:03.4, hours where there are some."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02d}" if hours else str(minutes)) + f":{rest // 10:02d}.{rest % 10}"


def _csv(prediction: VideoPrediction, count: int) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    name = printable(prediction.path)
    for window in prediction.windows:
        best = best_classes(prediction.classes, window.probabilities, count)
        for rank, (label, probability) in enumerate(best, start=1):
            times = (f"{window.start_sec:.3f}", f"{window.end_sec:.3f}")
            writer.writerow([name, *times, rank, label, f"{probability:.6f}", ""])
    if prediction.error is not None:
        writer.writerow([name, "", "", "", "", "", prediction.error])
    return text.getvalue()


def printable(path: Path) -> str:
    """Return a path as text that can be printed: names of files may hold bytes that are no text."""
    return str(path).encode("utf-8", "backslashreplace").decode()
