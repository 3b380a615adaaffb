"""Files from strangers: they name no other files, run no code, leave no folder, and their names are only names."""

from __future__ import annotations

import ast
import contextlib
import http.server
import pickle
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkouts import DATASET, PROJECT, Checkout, read_rows
from video_files import numbered_frames, read_number, write_video

from mml_core.config.base import read_yaml
from mml_core.config.dataset import Limits
from mml_core.errors import InputError
from mml_core.networks.weights import read_weight_file
from mml_core.shards import ModalityStore
from mml_core.video.decode import DecodedVideo
from mml_core.video.jpegs import JpegVideo
from mml_core.video.sources import VideoError
from mml_core.video.workers import JpegWorkers, Unclean

pytestmark = pytest.mark.stress

PROGRAM = [path for part in ("mml_core", "workflow", "benchmarks") for path in sorted((PROJECT / part).rglob("*.py"))]
RULES = [PROJECT / "Snakefile", *sorted((PROJECT / "rules").glob("*.smk"))]

UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "commands", "pty"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "system",
    "popen",
    "unsafe_load",
    "full_load",
    "getstatusoutput",
}


def unsafe(source: str) -> list[str]:
    """Return what in a program could run data as code, or pass it through a shell."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"import {name}" for name in names if name.split(".")[0] in UNSAFE_MODULES]
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            owner = getattr(getattr(function, "value", None), "id", "")
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            # methods of objects may have such names; plain names and those of modules are meant
            plain = isinstance(function, ast.Name) or owner in ("os", "subprocess", "builtins", "yaml")
            if plain and name in UNSAFE_CALLS:
                found.append(ast.unparse(node))
            if given.get("shell", "False") != "False" or given.get("allow_pickle", "False") != "False":
                found.append(ast.unparse(node))
            if (owner, name) == ("torch", "load") and given.get("weights_only") != "True":
                found.append(ast.unparse(node))
            if (owner, name) in (("yaml", "load"), ("yaml", "load_all")):
                found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load(p)",
        "torch.load(p, weights_only=False)",
        "subprocess.run(c, shell=True)",
        "os.system('x')",
        "eval(text)",
        "exec(text)",
        "yaml.load(text, Loader=L)",
        "yaml.unsafe_load(text)",
        "np.load(p, allow_pickle=True)",
    ],
)
def test_the_check_finds_what_it_looks_for(source: str) -> None:
    assert unsafe(source)


def test_no_program_runs_data_as_code_or_through_a_shell() -> None:
    assert len(PROGRAM) > 100
    assert {str(path): found for path in PROGRAM if (found := unsafe(path.read_text(encoding="utf-8")))} == {}


def unquoted(text: str) -> list[str]:
    """Return what the shell commands of rules take without quoting, but for whole numbers."""
    commands = re.findall(r'\n    shell:\s*\n\s*("""(?:.|\n)*?"""|".*")', text)
    return [
        field
        for command in commands
        for field in re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", command)
        if not field.endswith(":q") and field != "threads"
    ]


def test_no_rule_passes_text_through_its_shell_unquoted() -> None:
    assert unquoted('rule a:\n    shell:\n        """\n        cat {input.x} {threads} {output:q}\n        """\n') == [
        "input.x"
    ]
    assert unquoted('rule a:\n    shell:\n        "cat {input}"\n') == ["input"]
    fields = [field for path in RULES for field in unquoted(path.read_text(encoding="utf-8"))]
    assert fields == []
    assert sum(path.read_text(encoding="utf-8").count("    shell:\n") for path in RULES) > 15


NAMES = ["-y.mp4", "a b.mp4", 'o\'clock "x".mp4', "x; touch hacked;.mp4", "$(touch hacked).mp4", "zwei\nZeilen.mp4"]
NAMES += ["größe 视频.mp4", "`touch hacked`.mp4", "{input}.mp4", "100%.mp4", "a&b|c>d.mp4", "*.mp4", "~.mp4", "\\n.mp4"]


@pytest.mark.workflow
def test_videos_may_have_any_name(tmp_path: Path) -> None:
    checkout = Checkout.create(tmp_path / "checkout")
    folder = checkout.root / "videos"
    rows = ["path,label,split"]
    for number, name in enumerate(NAMES):
        write_video(folder / name, numbered_frames(6, 40, 48)[number % 3 :])
        quoted = name.replace('"', '""')
        rows.append(f'"{quoted}",{"ab"[number % 2]},{"validation" if number > 9 else "train"}')
    (folder / "broken; touch hacked.mp4").write_text("no video")
    (folder / "manifest.csv").write_text("\n".join([*rows, "broken; touch hacked.mp4,a,train"]) + "\n")
    checkout.dataset({**DATASET, "videos_per_shard": 64})
    checkout.run("--", "results/tiny/data_quality.csv")
    assert [row["video_id"] for row in read_rows(checkout.root / "results/tiny/data_quality.csv")] == [
        "broken; touch hacked.mp4"
    ]
    store = ModalityStore(checkout.shards("rgb"))
    assert set(store.videos) == set(NAMES)
    for number, name in enumerate(NAMES):
        assert read_number(store.read(name, [0], 1)[0].permute(1, 2, 0).numpy()) == number % 3, name
    assert not list(checkout.root.rglob("hacked*"))


@contextlib.contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """An HTTP server on this machine: its address, and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def tricks(secret: Path, address: str) -> dict[str, str]:
    """Files that tell a careless decoder to read another file, or to ask a server (after CVE-2016-1897 and -1898)."""
    hls = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n{}\n#EXT-X-ENDLIST\n"
    dash = '<?xml version="1.0"?><MPD type="static"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1">'
    dash += "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    return {
        "local": hls.format(f"file://{secret}"),
        "relative": hls.format(secret.name),
        "remote": hls.format(f"{address}/video.ts"),
        "concatenated": hls.format(f"concat:{address}/head|file://{secret}"),
        "part": hls.format(f"subfile,,start,0,end,100,,:{secret}"),
        "key": hls.format(f"{address}/x.ts").replace(
            "#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{address}/key"\n#EXTINF'
        ),
        "script": f"ffconcat version 1.0\nfile '{secret}'\n",
        "script_url": f"ffconcat version 1.0\nfile '{address}/a.ts'\n",
        "dash": dash.format(f"{address}/a.mp4"),
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "subtitles": f"1\n00:00:00,000 --> 00:00:10,000\n<img src='{address}/a.png'>\n",
        "filter": f"movie={secret}\n",
        "imf": f"<AssetMap><ChunkList><Chunk><Path>{secret}</Path></Chunk></ChunkList></AssetMap>",
    }


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv", ".m3u8", ".ts", ".mpg"])
def test_no_file_makes_the_decoder_read_another_or_ask_a_server(tmp_path: Path, ending: str) -> None:
    secret = write_video(tmp_path / "secret.ts", numbered_frames(8, 64, 64))
    assert len(list(DecodedVideo(secret, 64, Limits()))) == 8
    with listener() as (address, asked):
        for name, text in tricks(secret, address).items():
            path = tmp_path / f"{name}{ending}"
            path.write_text(text)
            with pytest.raises(VideoError):
                list(DecodedVideo(path, 64, Limits(decode_timeout_sec=20)))
    assert asked == []


@pytest.mark.parametrize("ending", [".mp4", ".m3u8"])
def test_no_file_makes_a_worker_read_another_or_ask_a_server(tmp_path: Path, ending: str) -> None:
    secret = write_video(tmp_path / "secret.mkv", numbered_frames(8, 64, 64))
    limits = Limits(decode_timeout_sec=20)
    with listener() as (address, asked), JpegWorkers(limits) as pool:
        assert len(list(JpegVideo(secret, 64, 90, limits).by_worker(pool))) == 8
        for name, text in tricks(secret, address).items():
            path = tmp_path / f"{name}{ending}"
            path.write_text(text)
            with pytest.raises(Unclean):
                list(JpegVideo(path, 64, 90, limits).by_worker(pool))
    assert asked == []


def test_a_movie_that_refers_to_another_file_is_not_followed(tmp_path: Path) -> None:
    """QuickTime may keep its samples in another file, which its `dref` names (`alis`, `url `)."""
    secret = write_video(tmp_path / "secret.mov", numbered_frames(8, 64, 64))
    path = tmp_path / "movie.mov"
    content = secret.read_bytes()
    place = content.index(b"dref") + 12
    assert content[place + 4 : place + 8] == b"url "
    url = f"file://{secret}\0".encode()
    entry = (12 + len(url)).to_bytes(4, "big") + b"url " + bytes(4) + url
    movie = bytearray(_insert(content, place, 12, entry))
    own = slice(content.index(b"mdat") + 4, content.index(b"moov") - 4)
    movie[own] = bytes(own.stop - own.start)  # frames could only come from the other file
    path.write_bytes(movie)
    with listener() as (_, asked), contextlib.suppress(VideoError):
        frames = [read_number(frame) for frame in DecodedVideo(path, 64, Limits(decode_timeout_sec=20))]
        assert frames == [], "frames of the other file"
    assert asked == []


def _insert(content: bytes, place: int, size: int, entry: bytes) -> bytes:
    """Replace `size` bytes of an MP4 file by `entry`, and correct the sizes of the boxes around them."""
    changed = bytearray(content[:place] + entry + content[place + size :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = content.index(box) - 4
        length = int.from_bytes(content[start : start + 4], "big") + len(entry) - size
        changed[start : start + 4] = length.to_bytes(4, "big")
    return bytes(changed)


class _Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".pth.tar", ".pyth"])
def test_a_pickle_in_the_place_of_weights_is_not_unpickled(tmp_path: Path, ending: str) -> None:
    mark, path = tmp_path / "hacked", tmp_path / f"weights{ending}"
    path.write_bytes(pickle.dumps({"conv1.weight": _Payload(mark)}))
    with pytest.raises(InputError, match="cannot be read as weights"):
        read_weight_file(path)
    assert not mark.exists()


def test_a_header_of_weights_that_claims_all_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(InputError, match="cannot be read as weights"):
        read_weight_file(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['touch hacked']",
        "a: !!python/name:os.system",
        "!!python/object/new:os.system ['touch hacked']",
        "a: !include /etc/passwd",
    ],
)
def test_yaml_makes_no_objects(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(text)
    with pytest.raises(InputError, match=r"a\.yaml: is not valid YAML"):
        read_yaml(Path("a.yaml"))
    assert not Path("hacked").exists()


@pytest.mark.parametrize("name", ["../tiny", "/etc/passwd", "a/b", "..", "", "x y", "-n", "a;b", "ä"])
def test_names_of_data_sets_and_recipes_are_no_paths(name: str) -> None:
    from mml_core.config.project import project_config

    for config in ({"dataset": name, "recipe": "one"}, {"dataset": "tiny", "recipe": [name]}):
        with pytest.raises(InputError, match=r"dataset|recipe"):
            project_config(config)
