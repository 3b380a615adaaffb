"""Rows of trainings that diverged: what score files, tables, published tables, subsets and claims say of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import test_evaluation_claims as claims
from report_files import Reader, make_files
from test_evaluation_table import FLOW, RGB, VIEWS, make_scores, request

from mml_core.config.tables import EnsembleConfig, TableConfig
from mml_core.evaluation.claims import build_claims, claims_markdown
from mml_core.evaluation.diverged import divergence
from mml_core.evaluation.markdown import to_markdown
from mml_core.evaluation.members import combine, members_of, restricted
from mml_core.evaluation.paper_table import PublishedRequest, build_paper_table, readable_paper_table
from mml_core.evaluation.scores import Scores, read_scores, write_scores
from mml_core.evaluation.table import TableRequest, best_row, build_table, read_table, write_table
from mml_core.plan.claims import resolve_claims
from mml_core.report.job import make_page
from mml_core.report.page import render_page

#: What is empty where there is no accuracy.
ACCURACIES = ("top1_std", "top1_low", "top1_high", "top5", "top5_low", "mean_class_accuracy")


def diverged_scores(epoch: int = 3) -> Scores:
    return replace(make_scores({"net": [[0.0, 0.0]] * 4}), diverged=epoch)


def test_score_files_keep_it_and_their_digest_counts_it(tmp_path: Path) -> None:
    plain = make_scores({"net": RGB})
    for epoch in (0, 3, 4):
        write_scores(tmp_path / f"{epoch}.h5", replace(plain, diverged=epoch))
        assert read_scores(tmp_path / f"{epoch}.h5").diverged == epoch
    write_scores(tmp_path / "plain.h5", plain)
    assert (tmp_path / "plain.h5").read_bytes() == (tmp_path / "0.h5").read_bytes(), "files of before stay the same"


def test_members_and_ensembles_have_the_first_epoch() -> None:
    late, early = (members_of(name, diverged_scores(epoch))[f"{name}.net"] for name, epoch in (("a", 5), ("b", 2)))
    whole = members_of("c", make_scores({"net": RGB}))["c.net"]
    assert combine([whole, late], [1, 1], "logits").diverged == 5
    assert combine([late, whole, early], [1, 1, 1], "logits").diverged == 2
    assert combine([whole], [1], "logits").diverged == 0
    assert restricted(late, ["v2", "v1"]).diverged == 5


def test_rows_say_so_in_place_of_accuracies(tmp_path: Path) -> None:
    run = members_of("bad", diverged_scores()) | members_of("good", make_scores({"net": FLOW}))
    ensembles = {"both": EnsembleConfig(members=["good.net", "bad.net"])}
    table = build_table(request(ensembles=ensembles), [run])
    write_table(tmp_path / "t.csv", table)
    table = read_table(tmp_path / "t.csv")
    rows = {row["name"]: row for row in table.to_dict("records")}
    for name in ("bad.net", "both"):
        assert rows[name]["top1"] == "diverged in epoch 3"
        assert [rows[name][column] for column in ACCURACIES] == [""] * len(ACCURACIES)
        assert rows[name]["gflops_per_video"] in ("4.500", "9.000"), "what it takes is known"
    assert rows["good.net"]["top1"] == "75.00"
    assert table.iloc[best_row(table)]["name"] == "good.net"
    assert "diverged in epoch 3" in to_markdown(table)


def test_of_several_seeds_one_is_enough() -> None:
    runs = [
        members_of("s", make_scores({"net": RGB})),
        members_of("s", diverged_scores()),
        members_of("s", diverged_scores(7)),
    ]
    (row,) = build_table(request(), runs).to_dict("records")
    assert row["top1"] == "diverged in epoch 3, 7 (2 of 3 seeds)"
    assert divergence([combine([run["s.net"]], [1], "logits") for run in runs[:2]]) == (
        "diverged in epoch 3 (1 of 2 seeds)"
    )
    assert divergence([combine([runs[0]["s.net"]], [1], "logits")]) == ""


def test_published_rows_and_means_over_splits_say_so_beside_what_is_printed(tmp_path: Path) -> None:
    files = []
    for key, scores in {"good": make_scores({"net": RGB}), "bad": diverged_scores()}.items():
        write_scores(tmp_path / f"{key}.h5", scores)
        files.append((key, tmp_path / f"{key}.h5"))
    block = {"kind": "networks", "published": "p", "title": "t", "protocol": "two"}
    models = {"one": "good.net", "two": "bad.net", "mean": ["good.net", "bad.net"]}
    asked = PublishedRequest(
        recipe="r", dataset="d", name="t", table={**block, "models": models}, protocols={"two": VIEWS}
    )
    printed = [{"label": label, "top1": "70.00"} for label in models]
    table = build_paper_table(asked, printed, files)
    good, bad, mean = table.to_dict("records")
    assert (good["top1"], good["top1_difference"]) == ("75.00", "+5.00")
    for row in (bad, mean):
        assert (row["published_top1"], row["top1"], row["top1_difference"]) == ("70.00", "diverged in epoch 3", "")
        assert (row["top1_std"], row["top1_low"], row["parameters_millions"]) == ("", "", "1.500")
    assert list(readable_paper_table(table)["Top-1, ours"])[1:] == ["diverged in epoch 3"] * 2


@pytest.mark.parametrize("seeds", [1, 3])
def test_claims_with_it_are_untested_and_do_not_count_among_the_others(tmp_path: Path, seeds: int) -> None:
    files = [claims.write_run(tmp_path, seed) for seed in range(seeds)]
    scores = read_scores(files[-1][1])
    asked = claims.request()
    pairs = resolve_claims(asked.claims, claims.PROTOCOLS, {}, file=Path("recipe.yaml"))
    plain = build_claims(asked, pairs, files).set_index("claim")
    # the network `fair` in a file of its own, of a stage that diverged in the last run
    other = replace(scores, networks={"fair": scores.networks["fair"]}, diverged=2)
    statements = [one.model_copy(update={"comparisons": _of_other(one)}) for one in asked.claims.statements]
    asked = asked.model_copy(update={"claims": asked.claims.model_copy(update={"statements": tuple(statements)})})
    more = []
    for seed in range(seeds):
        name = f"t@{seed}" if seed else "t"
        write_scores(tmp_path / f"{name}.h5", other if seed == seeds - 1 else replace(other, diverged=0))
        more.append((name, tmp_path / f"{name}.h5"))
    pairs = resolve_claims(asked.claims, claims.PROTOCOLS, {}, file=Path("recipe.yaml"))
    table = build_claims(asked, pairs, [*files, *more])
    row = table.set_index("claim").loc["little"]
    assert row["verdict"] == "untested" and row["p"] == ""
    assert row["difference"] == "diverged in epoch 2" + ("" if seeds == 1 else " (1 of 3 seeds)")
    assert [row[name] for name in ("std", "low", "high", "comparisons_won", "seeds_won")] == [""] * 5
    assert "diverged in epoch 2" in claims_markdown(table)
    for name in ("much", "turned"):
        assert table.set_index("claim").loc[name, "verdict"] == plain.loc[name, "verdict"]
        assert float(table.set_index("claim").loc[name, "p_holm"]) <= float(plain.loc[name, "p_holm"])


def _of_other(claim: object) -> tuple:
    """Return the comparisons of a claim with `t.fair` in place of `s.fair`."""
    return tuple(
        one.model_copy(update={"better": "t.fair"}) if one.better == "s.fair" else one for one in claim.comparisons
    )


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_page_of_a_table_whose_rows_all_diverged_shows_no_answers(tmp_path: Path, multi_label: bool) -> None:
    files = make_files(tmp_path, multi_label=multi_label)
    scores = replace(read_scores(files.scores["mml"]), diverged=1)
    write_scores(files.scores["mml"], scores)
    table = TableConfig(protocol="one")
    asked = TableRequest(recipe="single", dataset="toy", name="main", table=table, protocol=scores.protocol)
    write_table(files.table, build_table(asked, [members_of("mml", scores)]))
    files.history["mml"].write_text(files.history["mml"].read_text().splitlines()[0] + "\n")
    page = make_page(files)
    assert page.confusion is None and list(page.clips) == []
    assert page.curves[0].summary == "diverged in its first epoch"
    text = Reader(render_page(page)).text
    assert sum("diverged in epoch 1" in part for part in text) == len(scores.networks)
