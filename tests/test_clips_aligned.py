from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mml_core.clips.draws import ClipDraws
from mml_core.clips.positions import draw_training_starts, evaluation_starts
from mml_core.config.clips import ClipConfig
from mml_core.config.protocols import ProtocolConfig

FRAMES = st.integers(1, 32)
SEED = st.integers(0, 2**32)


def draws(seed: int) -> ClipDraws:
    return ClipDraws(seed, 0, "v")


@given(st.integers(1, 60), FRAMES, st.integers(1, 4), SEED)
def test_aligned_clips_begin_at_the_same_frame_in_every_modality(
    frames: int, shown: int, segments: int, seed: int
) -> None:
    """And at the frames that the modality with the fewest has otherwise, of which none is read past its end."""
    items, lengths = {"rgb": frames + 1, "flow": frames}, {"rgb": 1, "flow": 5}
    settings = {"frames": shown, "segments": segments, "sampling": "uniform"}
    starts = draw_training_starts(items, lengths, ClipConfig(**settings, aligned=True), draws(seed))
    drawn = draw_training_starts(items, lengths, ClipConfig(**settings), draws(seed))
    assert starts["rgb"].tolist() == starts["flow"].tolist() == drawn["flow"].tolist()
    assert not np.shares_memory(starts["rgb"], starts["flow"])
    assert starts["rgb"].max() <= max(0, frames - 5)


@given(
    st.integers(1, 60),
    FRAMES,
    st.integers(1, 8),
    st.integers(1, 6),
    st.sampled_from([{"uniform": 1}, {"uniform": 1, "phase": "middle"}, {"dense": 2, "uniform": 2}, {"clips": "all"}]),
)
def test_aligned_clips_are_so_in_testing_too(
    frames: int, shown: int, segments: int, stack: int, views: dict[str, Any]
) -> None:
    """Late in a video, rgb frames were up to `stack` frames later than the flow that training had with them."""
    items, lengths = {"rgb": frames + 1, "flow": frames}, {"rgb": 1, "flow": stack}
    segments = 1 if views.get("clips") == "all" else segments
    protocol = ProtocolConfig(segments=segments, **views)
    aligned, apart = (
        evaluation_starts(items, lengths, ClipConfig(frames=shown, stack=stack, aligned=choice), protocol)
        for choice in (True, False)
    )
    assert aligned["rgb"].tolist() == aligned["flow"].tolist() == apart["flow"].tolist()
    assert aligned["rgb"].max() <= max(0, frames - stack)
