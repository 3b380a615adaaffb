"""What the words over the columns of a page's tables mean, for people who do not know the papers."""

from __future__ import annotations

from collections.abc import Mapping

#: By heading.
TERMS: Mapping[str, str] = {
    "Top-1": "share of the videos whose most probable class is the right one, in percent",
    "Top-5": "share of the videos whose right class is among the five most probable, in percent",
    "Class mean": "mean over the classes of the share of their videos that are right, in percent: each class "
    "counts alike",
    "mAP": "mean average precision in percent: how well the videos of a class are ranked above all others, "
    "averaged over the classes",
    "Members": "networks whose scores are added up, each as stage.network",
    "Fusion": "what is added up: logits (the networks' raw scores) or probabilities",
    "Protocol": "which clips of a video, and which parts of its pictures, the networks see in testing",
    "Seeds": "independent trainings that differ in their random numbers alone; values are means over them",
    "Quarantined": "videos that could not be used, and are not counted",
    "Parameters (M)": "numbers that training fits, in millions: the size of the weights",
    "GFLOPs": "thousand million multiply-adds that a video takes: what it costs to use the row",
    "Used, %": "share of a video's segments in which a network that chooses looked at each modality",
    "GFLOPs of flow, at most": "multiply-adds that computing the optical flow takes, which is the motion of each pixel",
    "Behind the best": "difference from the best row in percentage points, in brackets where the true one lies (95 %)",
    "p": "how often chance alone would make a difference as large, corrected for the number of rows that are compared",
    "Epochs": "how often the training went through all training videos",
    "Stage": "a training; it may start from the weights of another one",
}
