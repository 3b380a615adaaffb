"""What mml attention prints."""

from __future__ import annotations

from mml_core.attention_command.attention import VideoAttention
from mml_core.figures.looks import Look


def attention_text(found: VideoAttention, query: tuple[float, float]) -> str:
    """Return where the query looks: a line a frame, with the places that are looked at most and their shares."""
    place = f"({query[0]:g}, {query[1]:g})"
    head = f"{found.network}: where {place} of {found.looking.own} looks in {found.looking.other}"
    return "\n".join([head, *map(_line, found.looks)])


def _line(look: Look) -> str:
    places = ", ".join(f"{place.share:.1%} at ({place.row:.2f}, {place.column:.2f})" for place in look.places)
    return f"frame {look.frame}: {places}; evenness {look.evenness:.3f}"
