"""Shards: HDF5 files that hold some hundreds of videos of one modality as encoded images (docs/shards.md)."""

from mml_core.shards.reader import ShardReader
from mml_core.shards.store import ModalityStore

__all__ = ["ModalityStore", "ShardReader"]
