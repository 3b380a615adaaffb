"""What ffmpeg says: what counts of it, and what is stated about the video."""

from __future__ import annotations

import math

import pytest

from mml_core.video.messages import Messages, Stated

OPENED = "[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:/a, from b.mp4':"
SCALED = (
    "[Parsed_scale_0 @ 0x5] [verbose] w:128 h:96 fmt:yuv420p csp:unknown sar:0/1 -> w:64 h:48 fmt:rgb24 sar:0/1 flags:0"
)


def taken(*lines: str) -> Messages:
    messages = Messages()
    for line in lines:
        messages.take(line)
    return messages


def test_what_is_stated() -> None:
    messages = taken(
        OPENED,
        "[info]   Duration: 01:00:02.50, start: 0.000000, bitrate: 100 kb/s",
        "[info]   Stream #0:0: Video: mjpeg (Baseline), yuvj420p, 60x60, 90k tbr, 90k tbn (attached pic)",
        "[info]     title           : [error] no error",
        "[info]   Stream #0:1[0x1](und): Video: h264 (High), yuv420p, 320x240 [SAR 2:1 DAR 8:3], 12.5 fps, 25 tbr",
        "[h264 @ 0x55] [warning] strange",
        "[vist#0:0/h264 @ 0x56] [dec:h264 @ 0x57] [fatal] corrupt decoded frame",
        "[error] later",
        "[info] Output #0, image2pipe, to 'pipe:1':",
        "[info]   Stream #0:0: Video: ppm, rgb24, 100x100, q=2-31, 200 kb/s, 50 fps, 50 tbn",
    )
    assert messages.error == "corrupt decoded frame"
    assert messages.stated == Stated(12.5, 3602.5, 320, 240, 2.0)
    assert (messages.container, messages.codec) == ("mov,mp4,m4a,3gp,3g2,mj2", "h264")
    assert messages.complete.is_set()
    silent = taken("[info]   Stream #0:0: Video: h264, 1k tbr")
    assert silent.error is None
    assert math.isnan(silent.stated.frame_rate)
    silent.take(
        "[info]   Stream #0:0: Video: h264, yuv420p, 32x24 [SAR 1:1 DAR 4:3], SAR 64:45 DAR 16:9, 30k fps, 1 tbr"
    )
    assert (silent.stated.frame_rate, silent.stated.pixel_aspect) == (30_000, 64 / 45)
    assert not silent.complete.is_set()


def test_a_file_that_cannot_be_opened_fails_for_the_first_reason() -> None:
    said = "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x5] [error] moov atom not found"
    assert taken(said, "[error] Error opening input: Invalid data").error == "moov atom not found"
    assert taken("[aac @ 0x1] [error] Reserved bit set.").error == "Reserved bit set."


@pytest.mark.parametrize(
    "said",
    [
        "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x5] [error] Invalid sample size -5",
        "[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x5] [error] Truncating packet of size 9 to 2",
        "[in#0 @ 0x5] [error] contradictionary STSC and STCO",
    ],
)
def test_what_the_container_says_before_it_is_open_counts(said: str) -> None:
    messages = taken("[aac @ 0x1] [error] Reserved bit set.", said, OPENED)
    assert messages.error == said.split("] ")[-1]


@pytest.mark.parametrize(
    "said",
    [
        "[aac @ 0x55] [error] Reserved bit set.",  # any decoder: the chosen stream is decoded anew
        "[h264 @ 0x55] [error] no frame!",
        "[NULL @ 0x55] [error] missing picture in access unit with size 9",
        "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x5] [error] Referenced QT chapter track not found",
        "[in#0 @ 0x5] [error] Error parsing cover art.",
    ],
)
def test_what_does_not_count_before_it_is_open(said: str) -> None:
    assert taken(said, OPENED).error is None


@pytest.mark.parametrize(
    "said",
    [
        "[mpegts @ 0x5] [error] Tag 10e length violation new length 4 bytes remaining 2",
        "[flv @ 0x5] [error] Missing AMF_END_OF_OBJECT in AMF_DATA_TYPE_OBJECT",
        "[matroska,webm @ 0x5] [error] incomplete attachment",
        "[matroska,webm @ 0x5] [error] Corrupt sipr RM-style audio packet size",
        "[nut @ 0x5] [error] info header checksum mismatch",
        "[dv @ 0x5] [error] Unrecognized audio sample rate index (5)",
        "[h264 @ 0x5] [error] mmco: unref short failure",
        "[h264 @ 0x5] [error] Missing reference picture, default is 0",
        "[h264 @ 0x5] [error] SEI type 5 size 99 truncated at 8",
        "[mjpeg @ 0x5] [error] unable to decode APP fields: Invalid data found when processing input",
    ],
)
def test_what_is_said_about_things_beside_the_picture_does_not_count(said: str) -> None:
    assert taken(OPENED, said).error is None


@pytest.mark.parametrize(
    "said",
    [
        "[matroska,webm @ 0x5] [error] File ended prematurely at pos. 999 (0x3e7)",
        "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x5] [error] stream 0, offset 0x30: partial file",
        "[h264 @ 0x5] [error] Missing reference picture, default is 65578",
        "[h264 @ 0x5] [error] reference picture missing during reorder",
        "[h264 @ 0x5] [error] error while decoding MB 3 4, bytestream -5",
        "[avi @ 0x5] [error] Something went wrong during header parsing, tag strf has size 9",
        "[vist#0:0/vp9 @ 0x5] [dec:vp9 @ 0x6] [error] Error submitting packet to decoder: Invalid data",
        "[fatal] file:a.mp4: corrupt input packet in stream 0",
    ],
)
def test_what_is_said_about_frames_counts(said: str) -> None:
    assert taken(OPENED, said).error == said.split("] ")[-1]


@pytest.mark.parametrize(
    ("aspect", "size", "kept"),
    [
        ("0/1", "128x96", True),
        ("1/1", "128x96", True),
        ("1/1", "96x72", True),
        ("0/1", "256x192", True),
        ("4/3", "96x96", True),
        ("1/1", "97x72", True),  # a side that is rounded
        ("1/1", "96x128", False),
        ("4/3", "128x96", False),
        ("1/1", "128x72", False),
    ],
)
def test_the_shape_of_frames(aspect: str, size: str, kept: bool) -> None:
    width, height = size.split("x")
    other = SCALED.replace("sar:0/1", f"sar:{aspect}").replace("w:128 h:96", f"w:{width} h:{height}")
    messages = taken(OPENED, SCALED, SCALED, other, SCALED)
    assert messages.shape_kept == kept
    assert messages.error is None
    taught = other.replace("Parsed_scale_0", "scaler_out_0_0")
    assert taken(OPENED, SCALED, taught).shape_kept, "a filter that ffmpeg puts behind ours"
