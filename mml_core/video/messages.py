"""What ffmpeg says while it decodes, line by line: what concerns the frames of the chosen stream, and nothing else.

ffmpeg puts most of what it says at level error, whatever it is about. What counts:

- Before the input is open, ffmpeg probes every stream with a decoder of its own, whose messages say nothing about the
  chosen one: what is wrong there is said again when it is decoded. Of these only the demuxer's count.
- From then on only the chosen stream is decoded, and all counts but what is about sound, chapters and other things
  beside the picture, or about reference pictures that a cut before an open group left out: that one is to be forgotten
  and is not there, or that there is none at all, for frames that are not shown then. Where one is missing among
  others, more is said.
"""

from __future__ import annotations

import math
import re
import threading
from dataclasses import dataclass, replace

from mml_core.video.shapes import Shape, pixel_aspect, same_shape
from mml_core.video.yuv import MATRICES

#: What is beside the picture: sound, chapters, attachments, descriptions, what a display or a projector is to do; and
#: what was before it.
_BESIDE = re.compile(
    r"audio|sound|pcm|channel|sample rate|wavpack|RM-style|subtitle|chapter|cover art|attach|metadata|info header|"
    r"failed to retrieve first frame|\bkeys?[ #']|comment|lyrics|\bloci\b|place name|descriptor|\btag \w+ length|"
    r"found tag|\bAMF|\bamf type|keyframe index|\bcues\b|time ?code|num_units_in_tick|spherical|projection|"
    r"bounding rectangle|stereoscopic|mastering|content light|free or hoov|\bSEI\b|\bAPP fields\b|\bICC\b|\bexif\b|"
    r"mmco: unref short failure|Missing reference picture, default is 0$",
    re.IGNORECASE,
)


def _matrix(word: str) -> str:
    """Return the matrix that a word of a stream's colours names (`matrix`, or `matrix/primaries/transfer`); or ""."""
    name = word.split("/")[0]
    return name if name in MATRICES.values() else ""


@dataclass(frozen=True)
class Stated:
    """What a container states, as ffmpeg says it; NaN or 0 where it does not."""

    frame_rate: float = math.nan  # mean frames a second
    duration_sec: float = math.nan
    width: int = 0  # as coded: before rotation, in pixels that may not be square
    height: int = 0
    pixel_aspect: float = 1.0  # width of a pixel by its height

    def scale_of(self, height: int, width: int) -> float:
        """Return how many pixels of decoded frames (height, width) come from one of the upright video, as a length."""
        if not self.width or not self.height:
            return math.nan
        shown = self.width * self.pixel_aspect, float(self.height)
        turned = float(self.height) / self.pixel_aspect, float(self.width)
        own = min(shown, turned, key=lambda size: abs(math.log(width / height * size[1] / size[0])))
        return min(height, width) / min(own)


class Messages:
    """Keeps what matters of ffmpeg's messages up to level verbose; its filter scale must be given upright frames."""

    _ERROR = re.compile(r"((?:\[[^\]]* @ [^\]]*\] )*)\[(?:error|fatal|panic)\] (.+)")
    _CONTEXT = re.compile(r"\[([^\]]*) @ [^\]]*\]")
    _TOLD_TO_END = re.compile(r"\[info\] Exiting normally, received signal \d+")
    # once for each size of frames: newer versions of ffmpeg say it, older ones do not, that they stretch what follows
    # to the size of the frames before
    _SCALED = re.compile(r"\[Parsed_scale_\d+ @ [^\]]*\] \[verbose\] w:(\d+) h:(\d+) fmt:.* sar:(\d+)/(\d+) -> ")
    _CONFIGURED = re.compile(r"\[graph 0 input from stream \S+ @ [^\]]*\] \[verbose\] w:\d+ h:\d+ pixfmt:(\w*)")
    _SHOWN = re.compile(r"\[Parsed_showinfo_\d+ @ [^\]]*\] \[info\] n: *0 .*\bpts_time:(-?[0-9.]+)")
    _INPUT = re.compile(r"\[info\] Input #0, (.+?), from ")
    _STREAM = re.compile(r"\[info\] +Stream #0:.* Video: (.*, ([0-9.]+k?) fps.*|.*)")
    _DURATION = re.compile(r"\[info\] +Duration: (\d+):(\d\d):(\d\d\.\d+),")
    _SIZE = re.compile(r", (\d+)x(\d+)(?=[ ,]|$)")
    _ASPECT = re.compile(r"\bSAR (\d+):(\d+)\b")
    _COLOURS = re.compile(r", \w+\(([^)]*)\), \d+x\d+")

    def __init__(self) -> None:
        self._first: str | None = None
        self._probed: dict[str, str] = {}  # before the input is open: by who says it
        self._error: str | None = None
        self.stated = Stated()
        #: Names of the container and of the codec, as ffmpeg calls them; empty until it tells.
        self.container, self.codec = "", ""
        #: Of the first frame, upright; None until it is scaled.
        self.shape: Shape | None = None
        #: Whether all frames have the shape, and the size, of the first.
        self.shape_kept = self.size_kept = True
        #: How often the filters were set up: once, and again when the size or kind of the pixels changes.
        self.configurations = 0
        #: As ffmpeg calls it, that of the first frame; empty until the filters are set up.
        self.pixel_format = ""
        #: The matrix of its colours that the stream states, as ffmpeg calls it; empty where it does not.
        self.matrix = ""
        #: Time of the first frame that was decoded, in seconds from where ffmpeg was to enter the file, where it tells.
        self.entered_sec = math.nan
        #: Whether ffmpeg ended since a signal told it to, which is no fault of the video.
        self.told_to_end = False
        #: Set once `stated` is all that there will be.
        self.complete = threading.Event()

    @property
    def error(self) -> str | None:
        """The first error, which is the cause of those after it; None where the frames are whole."""
        return self._error if self.container else self._first

    def take(self, line: str) -> None:
        """Look at the next line."""
        if match := self._SCALED.match(line):
            self._take_shape(*map(int, match.groups()))
        elif match := self._ERROR.match(line):
            self._take_error(self._CONTEXT.findall(match[1]), match[2])
        elif match := self._SHOWN.match(line):
            self.entered_sec = float(match[1])
        elif match := self._CONFIGURED.match(line):
            self.configurations += 1
            self.pixel_format = self.pixel_format or match[1]
        elif self._TOLD_TO_END.match(line):
            self.told_to_end = True
        elif not self.complete.is_set():
            self._take_header(line)

    def _take_shape(self, width: int, height: int, above: int, below: int) -> None:
        shape = Shape(width, height, pixel_aspect(above, below))
        self.shape = self.shape or shape
        self.shape_kept &= same_shape(self.shape, shape)
        self.size_kept &= self.shape[:2] == shape[:2]

    def _take_error(self, contexts: list[str], text: str) -> None:
        self._first = self._first or text
        if _BESIDE.search(text):
            return
        if not self.container:
            self._probed.setdefault(contexts[0] if contexts else "", text)
        elif self._error is None:
            self._error = text

    def _take_header(self, line: str) -> None:
        if match := self._INPUT.match(line):
            self.container = match[1]
            demuxer = (self.container, "in#0", f"in#0/{self.container}")  # as versions of ffmpeg call it
            self._error = next((text for who, text in self._probed.items() if who in demuxer), None)
        elif match := self._DURATION.match(line):
            hours, minutes, seconds = map(float, match.groups())
            self.stated = replace(self.stated, duration_sec=3600 * hours + 60 * minutes + seconds)
        elif not self.stated.width and "(attached pic)" not in line and (match := self._STREAM.match(line)):
            self.codec = match[1].split(",")[0].split(" ")[0]
            self.stated = replace(self.stated, **self._of_stream(match[1], match[2]))
            if colours := self._COLOURS.search(match[1]):
                self.matrix = next((name for name in map(_matrix, colours[1].split(", ")) if name), "")
        elif line.startswith("[info] Output #0"):
            self.complete.set()

    def _of_stream(self, text: str, rate: str | None) -> dict[str, float]:
        found: dict[str, float] = {}
        if rate is not None:
            found["frame_rate"] = float(rate[:-1]) * 1000 if rate.endswith("k") else float(rate)
        if size := self._SIZE.search(text):
            found |= {"width": int(size[1]), "height": int(size[2])}
        if aspects := self._ASPECT.findall(text):  # the container's, which counts, comes after the codec's
            found["pixel_aspect"] = pixel_aspect(*map(int, aspects[-1]))
        return found
