"""Running the real workflow in a copy of the project, on a data set and recipes so small that it takes seconds."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import forked
import yaml
from job_server import folder_of_python
from video_files import make_videos

PROJECT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "rules", "workflow", "mml_core", "config", "profiles", "envs")

DATASET = {
    "annotations": {"format": "manifest", "manifest": "videos/manifest.csv", "videos": "videos"},
    "modalities": {
        "rgb": {"kind": "rgb", "short_side_px": 32},
        "flow": {"kind": "flow", "algorithm": {"method": "tvl1", "scales": 2, "warps": 1, "stop_px": 0.1}},
    },
    "videos_per_shard": 4,
    "limits": {"max_quarantined_share": 0.5},
}
STAGE = {
    "epochs": 2,
    "batch_size": 4,
    "clip": {"frames": 4, "stack": 2, "crop_px": 24, "dense_window": 8},
    "optimizer": {"learning_rate": 0.01},
    "validate_every": 2,
}
RGB = {"modality": "rgb", "init": "random"}
DEFAULTS = {"network": {"backbone": "resnet_tiny"}, "stage": STAGE}
TABLES = {"ensemble_table": {"protocol": "one_view", "ensembles": {"both": {"members": ["last.rgb", "last.flow"]}}}}
#: `one` and `two` share the stage ce_a.
RECIPES = {
    "one": {
        "defaults": DEFAULTS,
        "stages": {
            "ce_a": {"networks": {"rgb": RGB}},
            "ce_b": {"networks": {"rgb": RGB}, "seed": 1},
            "last": {
                "networks": {
                    "rgb": {"modality": "rgb", "init": "ce_a.rgb"},
                    "flow": {"modality": "flow", "init": "ce_b.rgb"},
                },
                "objective": "mutual",
            },
        },
        "tables": TABLES,
    },
    "two": {
        "defaults": DEFAULTS,
        "stages": {"ce_a": {"networks": {"rgb": RGB}}},
        "tables": {"ensemble_table": {"protocol": "one_view"}},
    },
}


def separate_stages(epochs: int, names: Sequence[str], settings: Mapping[str, int]) -> dict[str, object]:
    """Return a recipe with stages of which each waits for nothing but data."""
    stages = {name: {"networks": {"rgb": RGB}, "seed": seed, **settings} for seed, name in enumerate(names)}
    return {
        "defaults": {
            "network": {"backbone": "resnet_tiny"},
            "stage": {**STAGE, "epochs": epochs, "validate_every": epochs},
        },
        "stages": stages,
        "tables": {"ensemble_table": {"protocol": "one_view"}},
    }


def write_yaml(path: Path, document: object) -> None:
    """Write `document` as YAML, keys in the order that they have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what snakemake's environment has besides that of the tests: `environment`, over what all runs have."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "OMP_NUM_THREADS": "1", "PYTHONPATH": "", **environment}


class Checkout:
    """A copy of the project in a folder of its own, with the tiny data set and recipes as its configuration."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def create(cls, root: Path) -> Checkout:
        """Copy the project to `root` and configure it; videos are not made."""
        root.mkdir(parents=True)
        for part in PARTS:
            source = PROJECT / part
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, root / part, ignore=ignore) if source.is_dir() else shutil.copy2(source, root)
        checkout = cls(root)
        checkout.configure(recipe=["one", "two"])
        checkout.dataset(DATASET)
        for name, recipe in RECIPES.items():
            checkout.recipe(name, recipe)
        return checkout

    def copy(self, root: Path) -> Checkout:
        """Return a copy of everything, results and provenance included, with the files' times."""
        shutil.copytree(self.root, root, symlinks=True)
        return Checkout(root)

    def configure(self, *, recipe: list[str], **more: str) -> None:
        """Choose recipes and, with `more`, other settings of the run."""
        write_yaml(self.root / "config/config.yaml", {"dataset": "tiny", "recipe": recipe, "device": "auto", **more})

    def dataset(self, document: object) -> None:
        """Write the data set's file."""
        write_yaml(self.root / "config/datasets/tiny.yaml", document)

    def recipe(self, name: str, document: object) -> None:
        """Write a recipe's file."""
        write_yaml(self.root / f"config/recipes/{name}.yaml", document)

    def start(
        self,
        *arguments: str,
        stdout: int | IO[str] = subprocess.PIPE,
        program: Sequence[str] = ("-m", "snakemake"),
        **environment: str,
    ) -> subprocess.Popen[str]:
        """Start snakemake, or a `program` of Python that is one, in a session and process group of its own."""
        command = [sys.executable, *program, "--cores", "2", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.root,
            env={**os.environ, **settings_of(environment)},
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, expect: int = 0, **environment: str) -> str:
        """Run snakemake to its end and return what it said; an unexpected exit status fails the test."""
        settings = settings_of(environment)
        if "-n" not in arguments:
            settings["PATH"] = f"{folder_of_python()}:{settings['PATH']}"
        status, output = forked.snakemake(self.root, ["--cores", "2", *arguments], settings)
        if status != expect:
            raise AssertionError(f"snakemake ended with {status}, expected {expect}:\n{output}")
        return output

    def planned(self, *arguments: str) -> list[str]:
        """Return the jobs of a dry run as `rule` or `rule:stage`, sorted."""
        return jobs_of(self.run("-n", *arguments))

    def one(self, pattern: str) -> Path:
        """Return the one file that matches `pattern` below the root."""
        found = sorted(self.root.glob(pattern))
        if len(found) != 1:
            raise AssertionError(f"expected one file {pattern}, found {found}")
        return found[0]

    def shards(self, modality: str) -> list[Path]:
        """Return the shards of a modality."""
        return sorted(self.root.glob(f"results/tiny/shards/{modality}-*/*.h5"))

    def stage(self, name: str) -> Path:
        """Return the folder of a stage's results, of which there must be one."""
        return self.one(f"results/tiny/stages/{name}-*/weights.safetensors").parent


def finished_checkout(root: Path) -> Checkout:
    """Make a checkout at `root` in which the whole workflow has run, on a data set with three broken videos.

    Two of the training videos are broken, one cut off and one empty; one validation video is text.
    """
    checkout = Checkout.create(root)
    videos = root / "videos"
    make_videos(videos)
    whole = (videos / "train_00.mp4").read_bytes()
    (videos / "train_00.mp4").write_bytes(whole[: len(whole) // 2])
    (videos / "train_01.mp4").write_bytes(b"")
    (videos / "validation_00.mp4").write_text("not a video\n")
    checkout.run("--resources", "gpu=8", "--", "all")
    return checkout


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def jobs_of(output: str) -> list[str]:
    """Return the jobs that a dry run listed, but for `all`, as `rule` or, where it has a stage, `rule:stage`."""
    jobs = []
    for block in re.split(r"\n(?=(?:local)?rule \w+:|checkpoint )", output):
        if found := re.match(r"(?:local)?rule (\w+):", block):
            stage = re.search(r"wildcards:.*\bstage=([a-z0-9_]+)-", block)
            jobs.append(found[1] + (f":{stage[1]}" if stage else ""))
    return sorted(job for job in jobs if job != "all")


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120.0) -> None:
    """Wait until `condition` holds; the test fails where `process` ends before, or it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"snakemake ended before:\n{process.communicate()[0]}")
        if time.monotonic() > end:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"waited {seconds} s in vain")
        time.sleep(0.05)
