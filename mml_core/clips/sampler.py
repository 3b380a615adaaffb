"""The order of an epoch: which clips make which batch."""

from __future__ import annotations

import numpy as np

#: A training clip: (epoch, index of the sample). All that is random about it follows from these and the seed.
Key = tuple[int, int]


def epoch_batches(count: int, batch_size: int, seed: int, epoch: int) -> list[list[Key]]:
    """Return the batches of one epoch: the keys of all `count` samples in an order that (seed, epoch) determines.

    An incomplete last batch is left out, for a handful of clips would count as much as a full batch; fewer samples
    than `batch_size` make one batch. To resume after `step` batches, take `epoch_batches(...)[step:]`.
    """
    rng = np.random.default_rng(np.random.SeedSequence((seed, epoch), spawn_key=(1,)))
    keys = [(epoch, index) for index in rng.permutation(count).tolist()]
    if count < batch_size:
        return [keys] if keys else []
    return [keys[first : first + batch_size] for first in range(0, count - batch_size + 1, batch_size)]
