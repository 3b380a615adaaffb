"""Objectives of a stage: cross-entropy, mutual learning, distillation. Each has a module of its own."""

from mml_core.objectives.base import ClipSums, Curves, EpochLosses, Losses, Objective, Step, build_objective

__all__ = ["ClipSums", "Curves", "EpochLosses", "Losses", "Objective", "Step", "build_objective"]
