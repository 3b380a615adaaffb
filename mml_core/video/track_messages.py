"""What ffmpeg says while it reads one track of a file beside others, line by line."""

from __future__ import annotations

import re
import threading


class TrackMessages:
    """Keeps what matters of ffmpeg's messages up to level verbose about a track of its only input.

    What it says before the input is open is about probing, and does not count; from then on only the chosen track is
    decoded, and every error counts.
    """

    _ERROR = re.compile(r"(?:\[[^\]]* @ [^\]]*\] )*\[(?:error|fatal|panic)\] (.+)")
    _TOLD_TO_END = re.compile(r"\[info\] Exiting normally, received signal \d+")
    _INPUT = re.compile(r"\[info\] Input #0, ")
    _SOUND = re.compile(r"\[info\] +Stream #0:.*: Audio: ")
    _OUTPUT = re.compile(r"\[info\] Output #0")
    # streamed containers: times count from the first one of the tracks that are read, and not of all
    _CORRECTED = re.compile(
        r"(?:\[\w+ @ 0x[0-9a-f]+\] )?\[verbose\] Correcting start time (?:of Input #0 )?by (-?\d+)"  # first part: 5.1
    )

    def __init__(self) -> None:
        self._open = False
        self._first: str | None = None
        self._error: str | None = None
        #: Microseconds from the beginning of the file, which is the first time in any of its tracks, to time 0 here.
        self.shift_us = 0
        #: How many tracks of sound there are.
        self.sounds = 0
        #: Whether ffmpeg ended since a signal told it to, which is no fault of the video.
        self.told_to_end = False
        #: Set once all that a file says of itself was said.
        self.complete = threading.Event()

    @property
    def error(self) -> str | None:
        """The first error, which is the cause of those after it; None where the track is whole."""
        return self._error if self._open else self._first

    def take(self, line: str) -> None:
        """Look at the next line."""
        if match := self._ERROR.match(line):
            self._first = self._first or match[1]
            if self._open:
                self._error = self._error or match[1]
        elif self._TOLD_TO_END.match(line):
            self.told_to_end = True
        elif not self.complete.is_set():
            self._take_header(line)

    def _take_header(self, line: str) -> None:
        if self._INPUT.match(line):
            self._open = True
        elif match := self._CORRECTED.match(line):
            self.shift_us = int(match[1])
        elif self._SOUND.match(line):
            self.sounds += 1
        elif self._OUTPUT.match(line):
            self.complete.set()
