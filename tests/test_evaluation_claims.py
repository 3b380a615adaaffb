"""Claims from score files: what their verdicts say with one seed, several, and videos in groups."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from job_server import folder_of_python

from mml_core.annotations import Annotations, Video
from mml_core.config.base import validate
from mml_core.config.dataset import DatasetConfig
from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import ClaimsConfig
from mml_core.errors import InputError
from mml_core.evaluation.claims import ClaimsRequest, build_claims, claims_markdown
from mml_core.evaluation.differences import difference
from mml_core.evaluation.scores import NetworkScores, Scores, read_scores, write_scores
from mml_core.evaluation.table import write_table
from mml_core.evaluation.verdicts import MEANINGS, holm
from mml_core.plan.claims import resolve_claims
from mml_core.plan.data_file import write_data_plan
from mml_core.plan.stages import DataPlan

VIDEOS = 120
PROTOCOLS = {"one": ProtocolConfig()}
#: Share of the videos that each network gets right.
SHARES = {"good": 0.9, "fair": 0.63, "poor": 0.5, "same": 0.5}
CLAIMS = {"much": ("good", "poor"), "little": ("fair", "poor"), "nothing": ("same", "poor"), "turned": ("poor", "good")}


def hits(seed: int) -> dict[str, np.ndarray]:
    """Return what the networks of a run are right about: of the same number in every run, on other videos."""
    rng = np.random.default_rng(seed)
    return {name: rng.permutation(VIDEOS) < share * VIDEOS for name, share in SHARES.items()}


def write_run(folder: Path, seed: int) -> tuple[str, Path]:
    networks = {
        name: NetworkScores(np.stack([right, ~right], axis=1).astype(np.float32), 1, 1.0)
        for name, right in hits(seed).items()
    }
    scores = Scores(
        split="test",
        protocol=ProtocolConfig(),
        crop_px=8,
        classes=("up", "down"),
        video_ids=tuple(f"v{number:03}" for number in range(VIDEOS)),
        labels=np.zeros(VIDEOS, np.int64),
        views=np.ones(VIDEOS, np.int64),
        quarantined=0,
        networks=networks,
    )
    key = f"s@{seed}" if seed else "s"
    write_scores(folder / f"{key}.h5", scores)
    return key, folder / f"{key}.h5"


def request() -> ClaimsRequest:
    statements = [
        {"name": name, "text": f"{name} | x", "comparisons": [{"better": f"s.{better}", "worse": f"s.{worse}"}]}
        for name, (better, worse) in CLAIMS.items()
    ]
    claims = ClaimsConfig(protocol="one", split="test", statements=statements)
    return ClaimsRequest(recipe="r", dataset="d", claims=claims, published={}, protocols=PROTOCOLS)


def claims_table(folder: Path, seeds: int, groups: dict[str, str] | None = None) -> pd.DataFrame:
    pairs = resolve_claims(request().claims, PROTOCOLS, {}, file=Path("recipe.yaml"))
    files = [write_run(folder, seed) for seed in range(seeds)]
    table = build_claims(request(), pairs, files, {"s": groups} if groups else None)
    return table.set_index("claim", drop=False)


def test_verdicts_of_several_seeds(tmp_path: Path) -> None:
    table = claims_table(tmp_path, 3)
    assert table["verdict"].tolist() == ["holds", "holds", "open", "contradicted"]
    runs = [hits(seed) for seed in range(3)]
    results = [
        difference(*(np.stack([run[side] for run in runs]) for side in sides), None) for sides in CLAIMS.values()
    ]
    adjusted = holm(np.array([result.p for result in results]))
    for row, result, p_holm in zip(table.to_dict("records"), results, adjusted, strict=True):
        assert float(row["difference"]) == pytest.approx(100 * result.value, abs=0.005)
        assert float(row["low"]) == pytest.approx(100 * result.low, abs=0.006)
        assert float(row["high"]) == pytest.approx(100 * result.high, abs=0.006)
        assert (row["p"], row["p_holm"]) == (f"{result.p:.4f}", f"{p_holm:.4f}")
        assert row["verdict_holm"] == (row["verdict"] if p_holm <= 0.05 else "open")
        assert (row["seeds"], row["videos"], row["groups"]) == ("3", str(VIDEOS), "")
    assert list(table.columns)[-6:] == ["videos", "groups", "p", "verdict", "p_holm", "verdict_holm"]


def test_one_seed_is_about_these_networks_only(tmp_path: Path) -> None:
    table = claims_table(tmp_path, 1)
    assert table.loc["much", "verdict"] == "higher on these videos"
    assert table.loc["turned", "verdict"] == "lower on these videos"
    assert table.loc["nothing", "verdict"] == table.loc["nothing", "verdict_holm"] == "open"
    assert not {"holds", "contradicted"} & {*table["verdict"], *table["verdict_holm"]}
    assert set(table["std"]) == {""}


def test_correction_for_the_number_of_claims_turns_a_weak_one_open(tmp_path: Path) -> None:
    table = claims_table(tmp_path, 1)
    assert 0.025 < float(table.loc["little", "p"]) < 0.05, "of four claims two are sure, so that it counts twice"
    assert (table.loc["little", "verdict"], table.loc["little", "verdict_holm"]) == ("higher on these videos", "open")
    assert (table["p_holm"].astype(float) >= table["p"].astype(float)).all()
    assert table.loc["much", "verdict_holm"] == "higher on these videos"


def test_intervals_are_over_groups(tmp_path: Path) -> None:
    groups = {f"v{number:03}": str(number // 30) for number in range(VIDEOS)}
    alone, together = claims_table(tmp_path, 3), claims_table(tmp_path, 3, groups)
    assert set(together["groups"]) == {"4"} and (together["difference"] == alone["difference"]).all()
    better, worse = (np.stack([hits(seed)[side] for seed in range(3)]) for side in CLAIMS["much"])
    expected = difference(better, worse, np.arange(VIDEOS) // 30)
    assert float(together.loc["much", "low"]) == pytest.approx(100 * expected.low, abs=0.006)
    one = claims_table(tmp_path, 3, dict.fromkeys(groups, "same"))
    assert set(one["verdict"]) == set(one["verdict_holm"]) == {"untested"}
    assert set(one["low"]) == set(one["high"]) == set(one["p"]) == set(one["p_holm"]) == {""}
    text = claims_markdown(one.reset_index(drop=True))
    assert "| untested" in text and "nothing is known of others" in text and "[" not in text.split("\n\n")[0]


def test_differences_that_a_paper_states_in_words_are_published(tmp_path: Path) -> None:
    """Their mean, where all comparisons of a claim have one."""
    sides = {"better": "s.good", "worse": "s.poor"}
    stated = {"whole": [1.6, 1.2], "part": [1.6, None]}
    statements = [
        {"name": name, "text": "t", "comparisons": [{**sides, "published": one} for one in values]}
        for name, values in stated.items()
    ]
    claims = ClaimsConfig(protocol="one", split="test", statements=statements)
    pairs = resolve_claims(claims, PROTOCOLS, {}, file=Path("recipe.yaml"))
    table = build_claims(request().model_copy(update={"claims": claims}), pairs, [write_run(tmp_path, 0)])
    assert table["published_difference"].tolist() == ["+1.40", ""]
    assert "published" not in claims.model_dump(mode="json")["statements"][1]["comparisons"][1]


def test_sides_that_were_scored_on_other_videos_are_told(tmp_path: Path) -> None:
    """Two stages of which one lost a video: this ended in a traceback, or with two losses in a pairing of others."""
    key, path = write_run(tmp_path, 0)
    scores = read_scores(path)
    write_scores(tmp_path / "t.h5", replace(scores, video_ids=("w", *scores.video_ids[1:])))
    claim = {"name": "x", "text": "t", "comparisons": [{"better": "s.good", "worse": "t.poor"}]}
    claims = ClaimsConfig(protocol="one", split="test", statements=[claim])
    asked = request().model_copy(update={"claims": claims})
    pairs = resolve_claims(claims, PROTOCOLS, {}, file=Path("recipe.yaml"))
    with pytest.raises(InputError, match="claim 'x': its networks were not scored on the same videos"):
        build_claims(asked, pairs, [(key, path), ("t", tmp_path / "t.h5")])


def test_people_read_what_verdicts_mean(tmp_path: Path) -> None:
    text = claims_markdown(claims_table(tmp_path, 3).reset_index(drop=True))
    assert "p after Holm | After Holm" in " ".join(text.split("\n")[0].split())
    assert all(f"{word}: {meaning}" in text for word, meaning in MEANINGS.items())
    assert "much \\| x" in text


def test_the_script_reads_groups_from_plans(tmp_path: Path, project: Path) -> None:
    annotations = {"format": "manifest", "manifest": "a.csv", "videos": "videos"}
    config = validate(DatasetConfig, {"name": "d", "annotations": annotations}, Path("d.yaml"))
    videos = tuple(Video(f"v{n:03}", f"v{n:03}.mp4", "test", (0,), group=str(n // 30)) for n in range(VIDEOS))
    write_data_plan(tmp_path / "plan.json", DataPlan(config, Annotations(("up", "down"), Path("videos"), videos)))
    scores = [f"{key}={path}" for key, path in (write_run(tmp_path, seed) for seed in range(2))]
    command = [folder_of_python() / "python", project / "workflow/scripts/claims_table.py", "--request"]
    command += [
        json.dumps(request().model_dump(mode="json")),
        "--scores",
        *scores,
        "--groups",
        f"s={tmp_path}/plan.json",
    ]
    command += ["--output", tmp_path / "claims.csv", "--markdown", tmp_path / "claims.md"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    written = tmp_path / "expected.csv"
    write_table(written, claims_table(tmp_path, 2, {video.video_id: video.group for video in videos}))
    assert (tmp_path / "claims.csv").read_text() == written.read_text()
    # as the rule does where no data set has groups: the option without a value
    place = command.index("--groups")
    result = subprocess.run([*command[: place + 1], *command[place + 2 :]], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    write_table(written, claims_table(tmp_path, 2))
    assert (tmp_path / "claims.csv").read_text() == written.read_text()


@pytest.mark.parametrize("own", [False, True], ids=["of the checkout", "of the folder"])
def test_scripts_find_published_values_from_any_folder(tmp_path: Path, project: Path, own: bool) -> None:
    """In a folder of its own, a run was planned with the checkout's values, and its jobs did not find them."""
    if own:
        (tmp_path / "config/published").mkdir(parents=True)
        (tmp_path / "config/published/garcia_table_3.csv").write_text("depth_input,log10_variance,top1\nvoid,,9.00\n")
    label = "void / "
    table = {"kind": "networks", "published": "garcia_table_3", "title": "Noise", "protocol": "one", "split": "test"}
    table |= {"labels": ["depth_input", "log10_variance"], "models": {label: "s.good"}}
    about = {"recipe": "r", "dataset": "d", "protocols": {"one": {}}}
    statement = {"name": "one", "text": "x", "comparisons": [{"better": ["t", "void"], "worse": "s.poor"}]}
    claims = {"protocol": "one", "split": "test", "statements": [statement]}
    requests = {
        "published_table": {**about, "name": "t", "table": table},
        "claims_table": {**about, "claims": claims, "published": {"t": table}},
    }
    key, scores = write_run(tmp_path, 0)
    for name, content in requests.items():
        script = project / "workflow/scripts" / f"{name}.py"
        command = [
            folder_of_python() / "python",
            str(script),
            "--request",
            json.dumps(content),
            "--scores",
            f"{key}={scores}",
        ]
        command += ["--scores", f"{key}={scores}", "--output", f"{name}.csv", "--markdown", f"{name}.md"]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
    rows = pd.read_csv(tmp_path / "published_table.csv", dtype=str, keep_default_na=False)
    (row,) = rows[rows["depth_input"] == "void"].to_dict("records")
    assert (row["published_top1"], row["top1"]) == ("9.00" if own else "14.24", "90.00")
    assert len(pd.read_csv(tmp_path / "claims_table.csv")) == 1
