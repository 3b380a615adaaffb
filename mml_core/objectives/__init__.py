"""Objectives of a stage: cross-entropy, mutual learning, distillation. Each has a module of its own."""

from mml_core.objectives.base import Losses, Objective, build_objective

__all__ = ["Losses", "Objective", "build_objective"]
