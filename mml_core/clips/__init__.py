"""Clips: what networks see of videos, in training and in evaluation."""

from mml_core.clips.batches import Batch, Clip, Sample, collate_clips, collate_views, usable_videos
from mml_core.clips.datasets import TrainingClips
from mml_core.clips.evaluation import EvaluationClips
from mml_core.clips.flips import FlipPolicy, flip_policy
from mml_core.clips.levels import input_channels, normalise, view_shape
from mml_core.clips.loader import evaluation_loader, training_loader
from mml_core.clips.sampler import Key, epoch_batches

__all__ = [
    "Batch",
    "Clip",
    "EvaluationClips",
    "FlipPolicy",
    "Key",
    "Sample",
    "TrainingClips",
    "collate_clips",
    "collate_views",
    "epoch_batches",
    "evaluation_loader",
    "flip_policy",
    "input_channels",
    "normalise",
    "training_loader",
    "usable_videos",
    "view_shape",
]
