"""Making the page of one recipe: files in, the page's content out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mml_core.config.protocols import ProtocolConfig
from mml_core.config.tables import LEAST_FOR_TOP5
from mml_core.data.stores import open_store
from mml_core.errors import InputError
from mml_core.evaluation.markdown import NOTES
from mml_core.evaluation.runs import load_runs
from mml_core.evaluation.table import JOINT, best_row, read_table, row_scores
from mml_core.plan.data_file import read_data_plan
from mml_core.report.clips import colour_wheel
from mml_core.report.content import (
    chance_percent,
    confusion_part,
    quality_part,
    read_history,
    sample_clips,
    settings_text,
    stage_curves,
    table_grid,
)
from mml_core.report.images import image_uri
from mml_core.report.page import FigurePart, Page, PaperTable
from mml_core.report.paper import claims_part, figure_part, paper_table_part

WHEEL_PX = 112
#: Facts that the page's title says already.
HEADER = ("Data set", "Recipe")


@dataclass(frozen=True)
class ReportFiles:
    """The files that the page is made from; stages, modalities and published tables by their names."""

    plan: Path  # of the data set
    table: Path  # of one recipe
    history: Mapping[str, Path]
    configs: Mapping[str, Path]
    scores: Mapping[str, Path]  # at least of the stages of the table's best row
    protocol: ProtocolConfig  # of the table: its views are among those of the scores
    quality: Path
    shards: Mapping[str, Path]  # one of each modality, holding the same videos
    published: Mapping[str, Path] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)  # of the published tables
    matrices: Mapping[str, Path] = field(default_factory=dict)  # pictures of published tables of pairs
    claims: Path | None = None
    figure_tables: Mapping[str, Path] = field(default_factory=dict)
    figure_pictures: Mapping[str, Path] = field(default_factory=dict)
    captions: Mapping[str, Sequence[str]] = field(default_factory=dict)  # kind and title of the figures


def make_page(files: ReportFiles) -> Page:
    """Return the content of the page; raises InputError naming the file that is at fault."""
    plan = read_data_plan(files.plan)
    table = read_table(files.table)
    if table.empty:
        raise InputError("has no rows to show", file=files.table)
    best = best_row(table, plan.config.name)
    row = table.iloc[best].to_dict()
    combined = row_scores(row, load_runs(_scores_of_row(row, files), protocol=files.protocol)[0])
    few = [plan.config.name] if len(plan.annotations.classes) < LEAST_FOR_TOP5 else []
    grid, common = table_grid(table, best, few)
    stores = {name: open_store(plan.config, name, [path]) for name, path in files.shards.items()}
    return Page(
        dataset=row["dataset"],
        recipe=row["recipe"],
        facts=[("Classes", str(len(combined.classes))), *[fact for fact in common if fact[0] not in HEADER]],
        table=grid,
        notes=NOTES,
        chance=chance_percent(combined),
        published=_paper_tables(files),
        claims=claims_part(files.claims) if files.claims else None,
        curves=[
            stage_curves(stage, read_history(path), multi_label=plan.config.multi_label)
            for stage, path in files.history.items()
        ],
        confusion=None if plan.config.multi_label or combined.diverged else confusion_part(row["name"], combined),
        clips=[] if combined.diverged else sample_clips(stores, combined),
        figures=_figures(files),
        wheel_uri=image_uri(colour_wheel(WHEEL_PX)),
        quality=quality_part(plan.annotations, files.quality),
        settings=[(stage, settings_text(path)) for stage, path in files.configs.items()],
    )


def _paper_tables(files: ReportFiles) -> list[PaperTable]:
    if missing := [name for name in files.published if name not in files.titles]:
        raise InputError(f"the published table {missing[0]!r} has no title", hint="pass one for each published table")
    return [
        paper_table_part(name, files.titles[name], path, files.matrices.get(name))
        for name, path in files.published.items()
    ]


def _figures(files: ReportFiles) -> list[FigurePart]:
    if missing := [
        name for name in files.figure_tables if name not in files.figure_pictures or name not in files.captions
    ]:
        raise InputError(f"the figure {missing[0]!r} has no picture or no caption", hint="pass one for each figure")
    return [
        figure_part(name, *files.captions[name], path, files.figure_pictures[name])
        for name, path in files.figure_tables.items()
    ]


def _scores_of_row(row: Mapping[str, str], files: ReportFiles) -> dict[str, Path]:
    """Return the score files of the stages whose networks are the row's members."""
    stages = dict.fromkeys(reference.split(".")[0] for reference in row["members"].split(JOINT))
    if missing := [stage for stage in stages if stage not in files.scores]:
        raise InputError(
            f"the best row, {row['name']!r}, needs the scores of stage {missing[0]!r}",
            file=files.table,
            hint=f"pass its score file; there are those of {', '.join(files.scores)}",
        )
    return {stage: files.scores[stage] for stage in stages}
