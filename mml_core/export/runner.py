"""The script beside an exported model: it runs ONNX without this project, from videos where they are frames alone."""

from __future__ import annotations

from collections.abc import Sequence

from mml_core.bundles.format import BundleDocument
from mml_core.config.dataset import RgbModality
from mml_core.export.inputs import GraphInput

RUNNER, EXAMPLE = "run_onnx.py", "example.npz"

_HEAD = '''"""Say what model.onnx says of {what}: python run_onnx.py {word} (needs {needs})."""

import json
import sys
from pathlib import Path

{imports}

folder = Path(__file__).parent
about = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
'''

_FRAMES = """

def frames_of(path, short, quality):  # (H, W, 3), blue first, scaled to the shorter side, with the loss of a JPEG
    capture = cv2.VideoCapture(path)
    while (read := capture.read())[0]:
        scale = short / min(read[1].shape[:2])
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        frame = cv2.resize(read[1], None, fx=scale, fy=scale, interpolation=how)
        yield cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)

"""

_STARTS = """
def starts(view, count):  # which of `count` frames a view shows
    {dense}return [part * (count - view["less"]) // view["denominator"] for part in view["numerators"]]

"""

_DENSE = """if view["kind"] == "dense":
        step = max(1, min(view["window"] // view["frames"], (count - 1) // max(1, view["frames"] - 1)))
        room = max(1, count - step * (view["frames"] - 1))
        first = room // 2 if view["of"] == 1 else view["number"] * room // view["of"]
        return [min(first + n * step, count - 1) for n in range(view["frames"])]
    """

_VIDEOS = """
def crops(frame, box_px, side_px, quarters):  # squares of a frame, red first
    (height, width), box = frame.shape[:2], min(box_px, *frame.shape[:2])
    for quarter in quarters:  # of the room along the longer side
        down, right = (2, quarter) if width >= height else (quarter, 2)
        top, left = down * (height - box) // 4, right * (width - box) // 4
        square = frame[top : top + box, left : left + box, ::-1]
        yield cv2.resize(square, (side_px, side_px), interpolation=cv2.INTER_AREA)


for path in sys.argv[1:]:
    frames, feeds = list(frames_of(path, about["frames"]["short_side_px"], about["frames"]["quality"])), {}
    for one in about["inputs"]:
        views = [[list(crops(frames[n], **one["crops"])) for n in starts(view, len(frames))] for view in one["views"]]
        clips = np.array(views).transpose(0, 2, 1, 5, 3, 4)  # (clips, crops, frames, channels, side, side)
        feeds[one["name"]] = np.ascontiguousarray(clips.reshape(1, -1, *clips.shape[2:]))
"""

_ARRAYS = """
for path in sys.argv[1:]:
    with np.load(path) as arrays:
        feeds = {one["name"]: arrays[one["name"]] for one in about["inputs"]}
"""

_TAIL = """    probabilities = session.run(["probabilities"], feeds)[0][0]
    best = probabilities.argsort()[::-1][:3]
    print(path, ", ".join(f"{about['classes'][n]} {probabilities[n]:.4f}" for n in best))
"""


def why_arrays(document: BundleDocument, inputs: Sequence[GraphInput]) -> str | None:
    """Return why the script takes arrays and no videos, or None: what it makes of videos itself is kept short."""
    frames, protocol = document.video.modalities[document.video.rgb], document.protocol
    assert isinstance(frames, RgbModality)
    if other := [one.modality for one in inputs if one.kind != "rgb"]:
        return f"the model reads {other[0]} beside frames, or in their place"
    if frames.square or frames.frames_per_sec is not None or document.video.alignment is not None:
        return "frames are squares, of another rate, or cut out of the picture"
    if protocol.clips == "all" or protocol.crop == "ten" or (protocol.dense and protocol.dense_spacing == "ends"):
        return "the protocol's clips or crops are many"
    segments = max(protocol.segments_of(one.clip) for one in inputs)
    if protocol.dense and (segments > 1 or any(one.clip.short_videos == "loop" for one in inputs)):
        return "dense clips are of several segments, or begin again"
    return None


def starts_program(*, dense: bool) -> str:
    """Return the function of the script that says which frames a view shows, `dense` ones too."""
    return _STARTS.format(dense=_DENSE if dense else "")


def runner(document: BundleDocument, inputs: Sequence[GraphInput]) -> str:
    """Return the text of the script."""
    arrays, packages = "import numpy as np\nimport onnxruntime", "numpy, onnxruntime"
    if why_arrays(document, inputs) is not None:
        return _HEAD.format(what="clips in arrays", word=EXAMPLE, needs=packages, imports=arrays) + _ARRAYS + _TAIL
    packages, imports = f"{packages}, opencv-python-headless", f"import cv2\n{arrays}"
    head = _HEAD.format(what="videos", word="VIDEO...", needs=packages, imports=imports)
    return head + _FRAMES + starts_program(dense=document.protocol.dense > 0) + _VIDEOS + _TAIL
