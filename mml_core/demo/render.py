"""Rendering of the whole embedded data set into a folder."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
from tqdm import tqdm

from mml_core.config.annotations import EmbeddedAnnotations
from mml_core.demo.catalogue import RENDERER_VERSION, SPLITS, ClipId, clips
from mml_core.demo.depth import draw_depth, write_depth
from mml_core.demo.encode import Sound, encode
from mml_core.demo.scene import draw_clip
from mml_core.demo.sound import SOUND_HZ, draw_sound
from mml_core.errors import InputError

#: Written beside the clips: tells a folder made here from one that must not be replaced.
SETTINGS_FILE = "settings.json"


def render_clip(config: EmbeddedAnnotations, folder: Path, clip: ClipId) -> None:
    """Draw `clip`, write it to its path below `folder`, and its depth, where `config` asks for that, beside it."""
    cv2.setNumThreads(1)
    frames, frame_rate = draw_clip(config.seed, clip, config.clutter)
    sound = Sound(draw_sound(config.seed, clip), SOUND_HZ) if clip.sounding else None
    encode(frames, frame_rate, folder / clip.path, rotated=clip.rotated, sound=sound)
    if config.depth_noise is not None:
        write_depth(draw_depth(config.seed, clip, config.depth_noise), folder / clip.depth_path)


def render_dataset(config: EmbeddedAnnotations, out: Path, workers: int) -> None:
    """Render all clips of `config` into the folder `out` with `workers` processes.

    `out` appears only once it is complete; one left by an earlier run is replaced. Raises InputError where `out` holds
    something else.
    """
    if out.exists() and not (out / SETTINGS_FILE).exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("exists and holds no rendered clips", file=out, hint="name a new or empty folder")
    partial_out = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial_out, ignore_errors=True)
    for split in SPLITS:
        (partial_out / split).mkdir(parents=True)
    todo = clips(config)
    for _ in tqdm(_render_all(config, partial_out, todo, workers), total=len(todo), unit="clip", desc="rendering"):
        pass
    content = {**config.model_dump(mode="json", exclude={"videos"}), "renderer_version": RENDERER_VERSION}
    (partial_out / SETTINGS_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    partial_out.rename(out)


def _render_all(config: EmbeddedAnnotations, folder: Path, todo: list[ClipId], workers: int) -> Iterator[None]:
    render = partial(render_clip, config, folder)
    if workers == 1:
        yield from map(render, todo)
        return
    # Spawned, not forked: OpenCV's and numpy's threads do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(render, todo, chunksize=4)
