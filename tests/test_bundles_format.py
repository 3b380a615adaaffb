"""What bundles may say, and what is refused: they may come from anywhere."""

from __future__ import annotations

import json
import lzma
import shutil
from pathlib import Path
from typing import Any

import bundled
import numpy as np
import pytest
import torch
import toy
from synthetic import synthetic_data

import mml_core
from mml_core.bundles.card import model_card
from mml_core.bundles.format import VERSION, BundleDocument
from mml_core.bundles.read import read_document
from mml_core.bundles.rows import find_row
from mml_core.config.base import merge, validate
from mml_core.config.recipe import RecipeConfig
from mml_core.errors import InputError
from mml_core.evaluation.temperature import Calibration
from mml_core.plan.stages import plan_stages

VERSION_1 = Path(__file__).parent / "data" / "bundle_v1"
HALLUCINATION = {"architecture": "multiplier", "privileged": True, "backbone": "resnet_tiny", "init": "random"}


@pytest.fixture(scope="module")
def _bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled.write_random(tmp_path_factory.mktemp("bundle") / "made", {"a.net": bundled.RGB})


@pytest.fixture
def bundle(_bundle: Path, tmp_path: Path) -> Path:
    """A bundle, to change."""
    return Path(shutil.copytree(_bundle, tmp_path / "bundle"))


def change(bundle: Path, **keys: Any) -> Path:
    """Write other values of keys of the document; None takes one away."""
    file = bundle / "bundle.json"
    content = json.loads(file.read_text())
    for name, value in keys.items():
        *above, last = name.split("__")
        block = content
        for key in above:
            block = block[key.replace("_dot_", ".")]
        if value is None:
            del block[last]
        else:
            block[last] = value
    file.write_text(json.dumps(content))
    return bundle


def test_a_bundle_of_the_first_version_is_read(tmp_path: Path) -> None:
    """Kept as version 1 wrote it; its weights are packed, and follow no program of today."""
    folder = Path(shutil.copytree(VERSION_1, tmp_path / "bundle"))
    packed = folder / "weights" / "old-0.safetensors.xz"
    (folder / "weights" / "old-0.safetensors").write_bytes(lzma.decompress(packed.read_bytes()))
    assert json.loads((folder / "bundle.json").read_text())["version"] == 1
    model = mml_core.load(folder, device="cpu", threads=1)
    assert model.classes == ("left → right", "b") and list(model.members) == ["old.rgb", "old.flow"]
    rgb = torch.linspace(-1, 1, 4 * 3 * 32 * 32).view(1, 4, 3, 32, 32)
    flow = torch.linspace(-1, 1, 4 * 4 * 32 * 32).view(1, 4, 4, 32, 32)
    said = [model.members["old.rgb"].network(rgb), model.members["old.flow"].network(flow)]
    recorded = json.loads((VERSION_1 / "said.json").read_text())
    np.testing.assert_allclose([one.logits[0].tolist() for one in said], recorded, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"version": VERSION + 1}, rf"version {VERSION + 1}, and this program reads .* to {VERSION}\n.*later version"),
        ({"version": 0}, "version: Input should be greater"),
        ({"version": "1"}, None),
        ({"format": "other"}, "is no bundle"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
        ({"classes": []}, "classes: "),
        ({"fusion": "median"}, "fusion: "),
        ({"members": [{"network": "b.net", "weight": 1}]}, "no network 'b.net'"),
        ({"members": [{"network": "a.net", "part": "fc", "weight": 1}]}, "has no part 'fc' that predicts"),
        ({"members": [{"network": "a.net", "weight": 0}]}, "weight: "),
        ({"networks__a.net__weights": "weights/../../secret.safetensors"}, "networks.a.net.weights: "),
        ({"networks__a.net__weights": "/etc/passwd"}, "networks.a.net.weights: "),
        ({"networks__a.net__weights": "weights/other.safetensors"}, "weights/other.safetensors of a.net is not there"),
        ({"networks__a.net__kinds": {"rgb": "smell"}}, "unknown kind of modality 'smell'"),
        ({"networks__a.net__kinds": {"rgb": "flow"}}, "is of another kind"),
        ({"networks__a.net__kinds": {}}, "nothing is said of 'rgb'"),
        ({"video__modalities": {}}, "'rgb' is not there"),
        ({"protocol": {"static": True}}, "are for experiments"),
        ({"protocol": {"missing": ["rgb"]}}, "are for experiments"),
        ({"calibration__temperature": 0}, "calibration.temperature: "),
    ],
)
def test_documents_that_no_program_writes(bundle: Path, keys: dict[str, Any], told: str | None) -> None:
    change(bundle, **keys)
    if told is None:
        assert read_document(bundle).version == 1
        return
    with pytest.raises(InputError, match=told) as error:
        read_document(bundle)
    assert str(error.value).startswith(f"{bundle / 'bundle.json'}: ")


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "[" * 100_000, '{"format": "mml-bundle"}', "\xff"])
def test_files_that_are_no_documents(bundle: Path, text: str) -> None:
    (bundle / "bundle.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"bundle\.json: "):
        read_document(bundle)


def test_folders_that_are_no_bundles(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=r"there is no bundle\n.*a bundle is a folder with"):
            mml_core.load(folder)


def test_weights_within_the_folder_alone_and_unchanged(bundle: Path, tmp_path: Path) -> None:
    (file,) = (bundle / "weights").iterdir()
    elsewhere = tmp_path / "elsewhere.safetensors"
    file.rename(elsewhere)
    with pytest.raises(InputError, match=r"safetensors: is no file within the bundle"):
        mml_core.load(bundle)
    file.symlink_to(elsewhere)
    with pytest.raises(InputError, match=r"safetensors: is no file within the bundle"):
        mml_core.load(bundle)
    file.unlink()
    content = bytearray(elsewhere.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"is not the file whose SHA-256 bundle\.json has"):
        mml_core.load(bundle)


def test_weights_of_another_network(bundle: Path) -> None:
    change(bundle, networks__a_dot_net__config={**bundled.RGB, "backbone": "resnet18"})
    with pytest.raises(InputError, match="weights that do not fit the network"):
        mml_core.load(bundle, device="cpu")


def test_what_is_there_in_training_only_is_not_needed(tmp_path: Path) -> None:
    """Depth of a hallucination network: no modality of the bundle, and no refusal."""
    folder = bundled.write_random(tmp_path / "a", {"a.net": HALLUCINATION})
    document = read_document(folder)
    assert document.networks["a.net"].kinds == {"rgb": "rgb", "depth": "depth"}
    assert list(document.video.modalities) == ["rgb"] and document.read_of("a.net") == ("rgb",)


def card_of(**more: Any) -> str:
    document = json.loads((VERSION_1 / "bundle.json").read_text())
    return model_card(BundleDocument.model_validate({**document, **more}))


def test_the_card_says_what_is_known() -> None:
    card = card_of()
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings == [
        "# old",
        *("## Intended use", "## How to use", "## Training data", "## Evaluation", "## Calibration", "## Limits"),
        "## Provenance",
    ]
    front = card.split("---\n")[1]
    assert "pipeline_tag: video-classification" in front and "library_name: mml-core" in front
    assert "| Top-1 accuracy | 75.00 % | 60.00 to 90.00 % |" in card
    assert "| left → right | 12 |" in card and "Temperature 1.5, fitted on 40 videos" in card
    assert "8.00 % before, 3.00 % after" in card
    none = card_of(calibration=Calibration(reason="there are no scores of the validation split", error_before=0.08))
    assert "No temperature was fitted, since there are no scores of the validation split: it is 1." in none
    several = card_of(multi_label=True, metrics={"mean_average_precision": {"value": 0.5}})
    assert (
        "several or none of which a video may show" in several and "| Mean average precision | 50.00 % |  |" in several
    )


def test_names_cannot_break_the_card() -> None:
    evil = "a | b\n# heading <script>"
    card = card_of(classes=[evil, "b"], name=f"x\n---\n{evil}")
    assert "<script>" not in card
    assert [line for line in card.splitlines() if line.startswith("# ")] == ["# x --- a \\| b # heading &lt;script>"]
    row = next(line for line in card.splitlines() if "heading" in line and line.startswith("|"))
    assert row.startswith("| a \\| b # heading &lt;script> | 0 |")


def test_a_row_is_that_of_the_ensemble_table_which_the_report_is_about() -> None:
    """Whatever the order of tables; and a name that is like no other is told without a traceback."""
    stage = merge(toy.STAGE, {"networks": {"rgb": toy.RGB}})
    tables = {"static": {"protocol": "one_view"}, "ensemble_table": {"protocol": "one_view"}}
    recipe = validate(RecipeConfig, {"name": "r", "stages": {"s": stage}, "tables": tables}, Path("r.yaml"))
    stages = plan_stages(synthetic_data(), recipe, Path("r.yaml"))
    assert find_row({"r": recipe}, {"r": stages}, "s.rgb", None).table == "ensemble_table"
    assert find_row({"r": recipe}, {"r": stages}, "s.rgb", "static").table == "static"
    with pytest.raises(InputError, match="no row is called 'zzz'") as caught:
        find_row({"r": recipe}, {"r": stages}, "zzz", None)
    assert caught.value.hint == "There are 's.rgb'"
