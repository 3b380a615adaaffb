"""JPEGs of videos by lasting workers: the bytes of the guarded way, and that way wherever anything is amiss."""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from video_files import ffmpeg, joined, numbered_frames, read_number, set_rotation_flag, write_video

from mml_core.config.dataset import Limits, RgbModality
from mml_core.modalities.rgb import make_rgb_shard
from mml_core.shards import ShardReader
from mml_core.video import jpeg_worker, workers
from mml_core.video.jpegs import JpegVideo
from mml_core.video.shapes import Box
from mml_core.video.sources import VideoError
from mml_core.video.workers import JpegWorkers, Unclean, stated_rate

LIMITS = Limits(decode_timeout_sec=60)
VP9 = ("libvpx-vp9", ["-b:v", "500k", "-deadline", "realtime", "-cpu-used", "8"])


def both(path: Path, limits: Limits = LIMITS, **keys: Any) -> tuple[Any, Any]:
    """JPEGs, size and rate by a worker and by ffmpeg; the worker's is the reason where the way is not for the video."""
    video, guarded = (JpegVideo(path, 64, 90, limits, **keys) for _ in range(2))
    with JpegWorkers(limits) as pool:
        try:
            fast: Any = (list(video.by_worker(pool)), video.height, video.width, video.frame_rate)
        except Unclean as reason:
            fast = str(reason)
    slow = (list(guarded.by_ffmpeg()), guarded.height, guarded.width, guarded.frame_rate)
    return fast, slow


@pytest.mark.parametrize(
    ("name", "codec", "options", "size"),
    [
        ("a.mp4", "libx264", [], (96, 128)),
        ("a.mkv", "libx264", ["-preset", "medium", "-bf", "3"], (96, 128)),
        ("a.webm", *VP9, (90, 120)),
        ("a.avi", "mpeg4", ["-q:v", "3"], (96, 128)),
        ("a.mov", "libx264", ["-vf", "setsar=16/11"], (144, 176)),
        ("a.mkv", "libx264", ["-pix_fmt", "yuv420p10le"], (96, 128)),
        ("a.mp4", "libx264", ["-colorspace", "bt709", "-color_range", "tv"], (96, 128)),
        ("a.mkv", "ffv1", ["-pix_fmt", "bgr0"], (33, 31)),
        ("a.mkv", "ffv1", [], (1, 1)),
        ("a.mkv", "ffv1", [], (3, 5)),
        ("a.mkv", "ffv1", [], (65, 97)),
    ],
)
def test_both_ways_give_the_same_bytes(
    tmp_path: Path, name: str, codec: str, options: list[str], size: tuple[int, int]
) -> None:
    path = write_video(tmp_path / name, numbered_frames(7, *size), *options, codec=codec, rate="30000/1001")
    fast, slow = both(path)
    assert fast == slow
    assert len(slow[0]) == 7 and slow[3] == 29.97


@pytest.mark.parametrize("keys", [{"square": True}, {"box": Box(10, 6, 51, 40)}])
def test_both_ways_cut_and_scale_alike(tmp_path: Path, keys: dict[str, Any]) -> None:
    fast, slow = both(write_video(tmp_path / "a.mp4", numbered_frames(5, 96, 128)), **keys)
    assert fast == slow
    assert slow[1:3] == ((64, 64) if "square" in keys else (64, 82))


def with_matrix(folder: Path, *matrix: int) -> Path:
    """A video that is to be shown by a matrix (a, b, c, d), and whose pixels are not square."""
    path = set_rotation_flag(write_video(folder / "a.mp4", numbered_frames(5, 96, 128), "-vf", "setsar=16/11"))
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 4 + 5 * 4 + 8 + 8
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", content, place, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, -1), (1, 0, 0, 1)])
def test_both_ways_turn_alike(tmp_path: Path, matrix: tuple[int, ...]) -> None:
    fast, slow = both(with_matrix(tmp_path, *matrix))
    assert fast == slow
    assert (slow[1] > slow[2]) == (matrix[0] == 0)


def in_a_mirror(folder: Path) -> Path:
    return with_matrix(folder, -1, 0, 0, 1)


def of_full_range(folder: Path) -> Path:
    return write_video(folder / "a.mp4", numbered_frames(5, 96, 128), "-pix_fmt", "yuvj420p")


def in_a_transport_stream(folder: Path) -> Path:
    return write_video(folder / "a.ts", numbered_frames(5, 96, 128))


def of_another_size(folder: Path) -> Path:
    options = ["-x264-params", "repeat-headers=1"]
    sizes = ((96, 128), (72, 96))
    return joined(
        folder / "joined.mkv",
        [write_video(folder / f"{n}.mkv", numbered_frames(5, *size), *options) for n, size in enumerate(sizes)],
    )


def cut_by_an_edit_list(folder: Path) -> Path:
    whole = write_video(folder / "whole.mp4", numbered_frames(10, 96, 128), "-g", "10")
    ffmpeg("-ss", "0.2", "-i", str(whole), "-c", "copy", str(folder / "a.mp4"))
    return folder / "a.mp4"


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (cut_by_an_edit_list, "its container leaves out some of its frames"),
        (in_a_mirror, "it is turned by an angle, or as in a mirror"),
        (of_full_range, "yuvj420p of range 2"),
        (in_a_transport_stream, "h264 in mpegts is looked at twice"),
        (of_another_size, "the kind of its frames changes"),
    ],
)
def test_videos_that_are_for_the_guarded_way(tmp_path: Path, made: Any, reason: str) -> None:
    fast, slow = both(made(tmp_path))
    assert fast == reason
    assert len(slow[0]) in (4, 5, 10)


@pytest.mark.parametrize("keys", [{"frames_per_sec": 12.5}, {"span_sec": (0.0, 0.1)}])
def test_parts_and_other_rates_are_for_the_guarded_way(tmp_path: Path, keys: dict[str, Any]) -> None:
    fast, slow = both(write_video(tmp_path / "a.mp4", numbered_frames(8, 96, 128)), **keys)
    assert fast == "it is more than the frames of a file"
    assert len(slow[0]) in (3, 4)


def damaged(path: Path, frames: int = 40) -> Path:
    write_video(path, numbered_frames(frames, 96, 96))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 300] = bytes(range(256)) + bytes(44)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"max_frames": 6}, "too many frames, or too long a side"), ({"min_frames": 9}, "too few frames")],
)
def test_a_worker_gives_no_verdict_on_length(tmp_path: Path, limits: dict[str, int], reason: str) -> None:
    path = write_video(tmp_path / "a.mp4", numbered_frames(8, 96, 96))
    with JpegWorkers(Limits(**limits)) as pool, pytest.raises(Unclean, match=reason):
        list(JpegVideo(path, 64, 90, Limits(**limits)).by_worker(pool))


def test_messages_of_the_libraries_count(tmp_path: Path) -> None:
    """Whatever comes after the damage is dropped, and the verdict is that of the guarded way."""
    path = damaged(tmp_path / "a.mp4")
    with JpegWorkers(LIMITS) as pool, pytest.raises(Unclean, match=r"FFmpeg says|damaged|Error"):
        list(JpegVideo(path, 64, 90, LIMITS).by_worker(pool))
    with pytest.raises(VideoError, match="decoding failed after"):
        list(JpegVideo(path, 64, 90, LIMITS).by_ffmpeg())


def test_the_same_message_about_the_next_video_counts_again(tmp_path: Path) -> None:
    """PyAV leaves out messages that repeat the last one."""
    path = damaged(tmp_path / "a.mp4")
    reasons = []
    request = JpegVideo(path, 64, 90, LIMITS)._request()
    program = subprocess.Popen([sys.executable, "-P", jpeg_worker.__file__], stdin=-1, stdout=-1)
    with program:
        for _ in range(2):
            workers._Worker._ask(program, request)
            while True:
                letter, length = jpeg_worker.PART.unpack(program.stdout.read(jpeg_worker.PART.size))
                content = program.stdout.read(length)
                if letter == b"E":
                    break
            reasons.append(content.split(b'"resident')[0])
        program.stdin.close()
    assert reasons[0] == reasons[1]
    assert b"refused" in reasons[0]


def worker_of(pool: JpegWorkers) -> subprocess.Popen[bytes]:
    return pool._idle[0]._process


def decode(pool: JpegWorkers, path: Path, limits: Limits = LIMITS) -> list[bytes]:
    return list(JpegVideo(path, 64, 90, limits).by_worker(pool))


def test_one_worker_decodes_many_videos_and_ends_with_the_block(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered_frames(5, 96, 96))
    with JpegWorkers(LIMITS) as pool:
        first = decode(pool, path)
        process = worker_of(pool)
        assert decode(pool, path) == first
        assert worker_of(pool) is process
    assert process.returncode == -signal.SIGKILL


def test_a_worker_that_had_trouble_or_grew_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = write_video(tmp_path / "a.mp4", numbered_frames(5, 96, 96)), damaged(tmp_path / "b.mp4")
    with JpegWorkers(LIMITS) as pool:
        decode(pool, good)
        process = worker_of(pool)
        with pytest.raises(Unclean):
            decode(pool, bad)
        assert process.returncode is not None and not pool._idle
        monkeypatch.setattr(workers, "_MOST_RESIDENT_BYTES", 0)
        assert len(decode(pool, good)) == 5
        assert not pool._idle


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_costs_nothing(tmp_path: Path, number: signal.Signals) -> None:
    path = write_video(tmp_path / "a.mp4", numbered_frames(5, 96, 96))
    with JpegWorkers(LIMITS) as pool:
        first = decode(pool, path)
        worker_of(pool).send_signal(number)
        worker_of(pool).wait()
        with pytest.raises(Unclean):
            decode(pool, path)
        assert decode(pool, path) == first, "by the next one"


def test_a_worker_that_hangs_is_given_up(tmp_path: Path) -> None:
    limits = Limits(decode_timeout_sec=5)
    path = write_video(tmp_path / "a.mp4", numbered_frames(5, 96, 96))
    with JpegWorkers(limits) as pool:
        decode(pool, path, limits)
        process = worker_of(pool)
        process.send_signal(signal.SIGSTOP)
        pool._idle[0]._limit_sec = 0.5
        with pytest.raises(Unclean, match="given up"):
            decode(pool, path, limits)
        assert process.wait(10) == -signal.SIGKILL


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits other processes")
def test_memory_of_workers_is_limited(tmp_path: Path) -> None:
    small = write_video(tmp_path / "small.mp4", numbered_frames(5, 96, 96))
    large = write_video(tmp_path / "large.mp4", numbered_frames(5, 1920, 1920))  # memory of the small one is not enough
    with JpegWorkers(LIMITS) as pool:
        assert len(decode(pool, small)) == 5
        pid = worker_of(pool).pid
        assert resource.prlimit(pid, resource.RLIMIT_AS)[0] == LIMITS.decode_memory_bytes
        assert resource.prlimit(pid, resource.RLIMIT_CPU)[0] == 8 * 60 + 60
        resource.prlimit(pid, resource.RLIMIT_AS, (1 << 20, 1 << 20))
        with pytest.raises(Unclean):
            decode(pool, large)
        assert len(decode(pool, large)) == 5


@pytest.mark.parametrize(
    "answer",
    [b"", b"X\0\0\0\1a", b"F\0\0\0\5JPEG?", b"F\xff\xff\xff\xff", b"E\0\0\0\1{", b"E\0\0\0\2{}", b"E\0\0\0\2[]"],
)
def test_what_a_worker_sends_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    program = tmp_path / "worker.py"
    program.write_text(f"import sys; sys.stdout.buffer.write({answer!r}); sys.stdout.flush(); sys.stdin.read()")
    monkeypatch.setattr(jpeg_worker, "__file__", str(program))
    path = write_video(tmp_path / "a.mp4", numbered_frames(5, 96, 96))
    limits = Limits(decode_timeout_sec=2)
    with JpegWorkers(limits) as pool:
        with pytest.raises(Unclean):
            decode(pool, path, limits)
        assert not pool._idle


def test_the_fast_way_is_given_up_where_it_is_for_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = in_a_transport_stream(tmp_path)
    with JpegWorkers(LIMITS) as pool:
        for _ in range(workers._MOST_UNCLEAN):
            with pytest.raises(Unclean, match="looked at twice"):
                decode(pool, path)
        with pytest.raises(Unclean, match="given up"):
            decode(pool, path)


def ends(pid: int, seconds: float = 20) -> bool:
    """Whether a process ends; one that nobody waits for has ended, too."""
    for _ in range(int(seconds / 0.05)):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_ends_with_its_parent_even_within_a_video(tmp_path: Path, number: signal.Signals) -> None:
    """It is stuck in a video: nobody reads what it sends."""
    path = write_video(tmp_path / "a.mp4", numbered_frames(400, 96, 96))
    program = (
        "import sys, time; from pathlib import Path; from mml_core.config.dataset import Limits\n"
        "from mml_core.video.jpegs import JpegVideo; from mml_core.video import workers\n"
        "pool = workers.JpegWorkers(Limits()); started = []; start = workers._Worker.__init__\n"
        "def note(self, limits): start(self, limits); started.append(self._process.pid)\n"
        "workers._Worker.__init__ = note\n"
        f"frames = JpegVideo(Path({str(path)!r}), 256, 95, Limits()).by_worker(pool)\n"
        "next(frames); print(started[0], flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert not ends(pid, 0.2)
        parent.send_signal(number)
        parent.wait()
        assert ends(pid)


def test_signals_to_the_group_do_not_reach_a_worker(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered_frames(5, 96, 96))
    with JpegWorkers(LIMITS) as pool:
        decode(pool, path)
        assert os.getpgid(worker_of(pool).pid) != os.getpgid(0)


def test_shards_of_several_threads_are_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With bad videos among them, which cost the good ones nothing; the same as by ffmpeg alone."""
    good = [write_video(tmp_path / f"{n}.mp4", numbered_frames(8, 96, 96)[n:]) for n in range(4)]
    files = [good[0], damaged(tmp_path / "bad.mp4"), good[1], tmp_path / "none.mp4", good[2], good[3]]
    videos = {f"{9 - n} of {path.stem}": path for n, path in enumerate(files)}
    started: list[int] = []
    start = workers._Worker.__init__
    monkeypatch.setattr(workers._Worker, "__init__", lambda self, limits: (started.append(1), start(self, limits))[1])
    shards = []
    for threads, enough in ((1, True), (2, True), (2, False)):
        monkeypatch.setattr("mml_core.modalities.rgb._LEAST_VIDEOS", 3 if enough else 4)
        before = len(started)
        make_rgb_shard(videos, "rgb", RgbModality(short_side_px=64), LIMITS, tmp_path / "a.h5", threads)
        assert 0 < len(started) - before <= threads + 1 if enough else len(started) == before
        with ShardReader(tmp_path / "a.h5") as reader:
            entries = reader.videos
            images = {name: reader.read(entry, range(entry.count), 1) for name, entry in entries.items()}
            assert [read_number(image[0].transpose(1, 2, 0)) for image in images.values()] == [0, 1, 2, 3]
            shards.append((list(entries), reader.quarantined, {name: one.tobytes() for name, one in images.items()}))
    assert shards[0] == shards[1] == shards[2]
    assert shards[0][0] == ["9 of 0", "7 of 1", "5 of 2", "4 of 3"]
    assert shards[0][1]["6 of none"] == "no such file"


@pytest.mark.parametrize("rate", ["25", "30000/1001", "119/4", "1/3", "1/300", "1000", "50000/1001", "15.005", "1/7"])
def test_rates_are_as_ffmpeg_states_them(tmp_path: Path, rate: str) -> None:
    path = write_video(tmp_path / "a.mkv", numbered_frames(4, 64, 64), rate=rate)
    fast, slow = both(path)
    assert repr(fast[3]) == repr(slow[3])


def test_rates_beyond_what_videos_have() -> None:
    assert stated_rate(*Fraction(100_000).as_integer_ratio()) == 100_000
    assert str(stated_rate(0, 1)) == str(stated_rate(1, 0)) == "nan"


def test_a_worker_starts_light() -> None:
    program = (
        "import sys, mml_core.video.jpeg_worker; print(*{'torch', 'cv2', 'pydantic', 'h5py', 'PIL'} & {*sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "\n"
