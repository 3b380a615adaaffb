"""Patterns that say where files of a video are which lie beside it, in the data set's folder of videos."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints


def _within(pattern: str) -> str:
    rest = pattern.replace("{path}", "").replace("{id}", "")
    if rest == pattern or "{" in rest or "}" in rest:
        raise ValueError("expected {path} or {id}, and no other braces: each video has files of its own")
    if pattern.startswith("/") or "\0" in pattern or ".." in pattern.split("/"):
        raise ValueError("expected a path below the folder of videos, without '..'")
    return pattern


#: A path below the folder of videos: {path} stands for the video's own path there without its ending, {id} for its id.
BesidePattern = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_within)]
