"""Rendering the pages about data to HTML files that need no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from mml_core.quality.content import Listed, QualityPage
from mml_core.report.strip import Strip


@dataclass(frozen=True)
class Doubtful:
    """A video whose label is likely wrong, with a strip of its frames where they are there."""

    video_id: str
    given: str
    likely: str
    told: str
    strip: Strip | None


@dataclass(frozen=True)
class LabelPage:
    """Everything on the page about labels."""

    issues: Listed
    doubtful: Sequence[Doubtful]


def render(page: QualityPage | LabelPage) -> str:
    """Return `page` as HTML in the style of the report. All its text is escaped; nothing is loaded from elsewhere."""
    template = "data_quality.html" if isinstance(page, QualityPage) else "label_issues.html"
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("mml_core.quality"), PackageLoader("mml_core.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(page=page)
