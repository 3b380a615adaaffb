"""Runs over videos without a sound track, with a damaged one and with a shorter one end as the data set says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from checkouts import Checkout, read_rows
from sound_files import beeps, flashes, write_sounding, write_wave
from test_modalities_audio import damaged
from video_files import write_video

pytestmark = pytest.mark.workflow

STREAM = {"backbone": "resnet_tiny", "architecture": "tsn_pool", "init": "random"}
RECIPE: dict[str, Any] = {
    "defaults": {
        "stage": {
            "epochs": 1,
            "batch_size": 4,
            "clip": {
                "frames": 2,
                "segments": 2,
                "sampling": "dense",
                "dense_window": 2,
                "crop_px": 24,
                "sound_sec": 0.1,
            },
            "validate_every": 1,
        }
    },
    "stages": {
        "net": {
            "networks": {
                "net": {
                    "architecture": "adamml",
                    "streams": ["rgb", "audio"],
                    "backbones": {"rgb": "resnet_tiny", "audio": "resnet_tiny"},
                    "policy_backbone": "resnet_tiny",
                    "policy_px": 16,
                    "init": "random",
                }
            },
            "objective": {"kind": "frugal", "prices": {"rgb": 0.1}},
        },
        "rgb": {"networks": {"rgb": {**STREAM, "modality": "rgb"}}},
    },
    "protocols": {"one_view": {"dense": 1, "uniform": 0}},
    "tables": {"ensemble_table": {"protocol": "one_view"}},
}
TARGETS = ("results/ensemble_table.csv", "results/data_quality.csv")


def dataset(missing: str) -> dict[str, Any]:
    return {
        "annotations": {"format": "manifest", "manifest": "videos/manifest.csv", "videos": "videos"},
        "modalities": {
            "rgb": {"kind": "rgb", "short_side_px": 32},
            "audio": {"kind": "audio", "sample_rate_hz": 8000, "missing": missing},
        },
        "videos_per_shard": 4,
        "limits": {"max_quarantined_share": 0.5},
    }


def make_videos(folder: Path) -> None:
    """Eight videos of a second, of which one has no track, one a damaged track and one a track of half a second."""
    folder.mkdir()
    frames = flashes(25, [3])
    tone, short = (write_wave(folder / f"{sec}.wav", beeps([(0, sec)], sec)) for sec in (1, 0.5))
    names = [f"{split}_{n}" for split, count in (("train", 6), ("validation", 3)) for n in range(count)]
    for name in names:
        write_sounding(folder / f"{name}.mkv", frames, tone)
    write_sounding(folder / "train_0.mkv", frames, short)
    damaged(folder / "train_1.mkv")
    write_video(folder / "validation_0.mkv", frames)
    rows = [f"{name}.mkv,{'up' if int(name[-1]) % 2 else 'down'},{name.partition('_')[0]}" for name in names]
    (folder / "manifest.csv").write_text("\n".join(["path,label,split", *rows, ""]))


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout that has run with silence in place of sound that is not there."""
    checkout = Checkout.create(tmp_path_factory.mktemp("sound") / "checkout")
    make_videos(checkout.root / "videos")
    checkout.dataset(dataset("zeros"))
    checkout.recipe("sound", RECIPE)
    checkout.configure(recipe=["sound"])
    checkout.run("--", *TARGETS)
    return checkout


def faults(checkout: Checkout) -> dict[str, str]:
    """Return what the table of data quality says about sound, by video."""
    rows = read_rows(checkout.root / "results/data_quality.csv")
    assert {row["modality"] for row in rows} <= {"audio"}
    return {row["video_id"]: row["reason"] for row in rows}


def scored(checkout: Checkout) -> dict[str, tuple[str, str]]:
    """Return the numbers of videos that rows of the table are about, and of those in quarantine, by network."""
    return {row["name"]: (row["videos"], row["quarantined"]) for row in read_rows(checkout.root / TARGETS[0])}


def test_silence_is_in_place_of_sound(silent: Checkout) -> None:
    """A track that is shorter than the frames is no fault."""
    found = faults(silent)
    assert found.keys() == {"train_1.mkv", "validation_0.mkv"}
    assert found["validation_0.mkv"] == "silent: no sound track"
    assert found["train_1.mkv"].startswith("silent: its sound cannot be decoded")
    assert scored(silent) == {"net.net": ("3", "0"), "rgb.rgb": ("3", "0")}


def test_videos_without_sound_are_left_out_where_it_is_heard(silent: Checkout, tmp_path: Path) -> None:
    """Frames are not made again, and what sees alone learns and is scored as before, from all of them."""
    checkout = silent.copy(tmp_path / "checkout")
    checkout.dataset(dataset("quarantine"))
    assert "train_stage:rgb" not in checkout.planned("--", *TARGETS)
    checkout.run("--", *TARGETS)
    found = faults(checkout)
    assert found["validation_0.mkv"] == "no sound: no sound track" and found["train_1.mkv"].startswith("no sound: ")
    assert found.keys() == {"train_1.mkv", "validation_0.mkv"}
    assert scored(checkout) == {"net.net": ("2", "1"), "rgb.rgb": ("3", "0")}


def test_the_run_ends_where_sound_has_to_be_there(silent: Checkout, tmp_path: Path) -> None:
    checkout = silent.copy(tmp_path / "checkout")
    checkout.dataset(dataset("error"))
    output = checkout.run("--", TARGETS[0], expect=1)
    # whichever shard comes first
    assert re.search(r"error: videos/(train_1|validation_0)\.mkv: has no sound: ", output)
    assert "missing: quarantine leaves it out" in output
    assert not list(checkout.root.glob("results/tiny/stages/net-*/weights.safetensors"))[1:], "none is trained anew"
