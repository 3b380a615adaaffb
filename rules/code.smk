"""Which program text defines the products of a rule.

A digest of it is a parameter of the rule, so that an edit of the program makes the products anew, while a touched file, a
comment or a fresh checkout does not. Modules that only report, log or check are not listed.

REQUIRED INPUTS:
    mml_core/
OUTPUTS:
    none: nothing is written here
"""

RGB_CODE = [
    "mml_core/video",
    "mml_core/io/hdf5.py",
    "mml_core/shards/images.py",
    "mml_core/shards/schema.py",
    "mml_core/shards/writer.py",
    "mml_core/modalities/from_videos.py",
    "mml_core/modalities/rgb.py",
]
DERIVED_CODE = [
    "mml_core/io/hdf5.py",
    "mml_core/shards",
    "mml_core/modalities/derived.py",
    "mml_core/modalities/quantise.py",
]
FRAME_FLOW_CODE = [
    *DERIVED_CODE,
    "mml_core/modalities/flow.py",
    "mml_core/flow/grey.py",
    "mml_core/flow/api.py",
    "mml_core/flow/engine.py",
]
#: All engines of TV-L1: which of them computes is known when it does.
TVL1_CODE = [
    "mml_core/flow/levels.py",
    "mml_core/flow/numba",
    "mml_core/flow/opencv.py",
    "mml_core/flow/torch",
    "mml_core/flow/triton",
]
#: By algorithm.
FLOW_CODE = {
    "tvl1": [*FRAME_FLOW_CODE, *TVL1_CODE],
    "dis": [*FRAME_FLOW_CODE, "mml_core/flow/opencv.py"],
    "farneback": [*FRAME_FLOW_CODE, "mml_core/flow/opencv.py"],
    "motion_vectors": [
        "mml_core/io/hdf5.py",
        "mml_core/shards",
        "mml_core/modalities/from_videos.py",
        "mml_core/modalities/motion_vectors.py",
        "mml_core/modalities/quantise.py",
        "mml_core/flow/codec/export_vectors.py",
        "mml_core/flow/codec/motion_vectors.py",
        "mml_core/video",
    ],
}
DIFF_CODE = [*DERIVED_CODE, "mml_core/modalities/diff.py"]
NETWORK_CODE = [
    "mml_core/clips",
    "mml_core/io/hdf5.py",
    "mml_core/shards/images.py",
    "mml_core/shards/reader.py",
    "mml_core/networks/backbones.py",
    "mml_core/networks/build.py",
    "mml_core/networks/handover.py",
    "mml_core/networks/inflated.py",
    "mml_core/networks/interface.py",
    "mml_core/networks/shift.py",
    "mml_core/networks/tsm.py",
]
TRAIN_CODE = [
    *NETWORK_CODE,
    "mml_core/networks/parameter_groups.py",
    "mml_core/networks/pytorchvideo_layout.py",
    "mml_core/networks/weights.py",
    "mml_core/objectives.py",
    "mml_core/training/batch_norm.py",
    "mml_core/training/build.py",
    "mml_core/training/engine.py",
    "mml_core/training/job.py",
    "mml_core/training/processes.py",
    "mml_core/training/schedule.py",
]
SCORE_CODE = [
    *NETWORK_CODE,
    "mml_core/evaluation/job.py",
    "mml_core/networks/predict.py",
    "mml_core/evaluation/scores.py",
    "mml_core/networks/cost.py",
]
TABLE_CODE = [
    "mml_core/evaluation/fusion.py",
    "mml_core/evaluation/markdown.py",
    "mml_core/evaluation/members.py",
    "mml_core/evaluation/metrics.py",
    "mml_core/evaluation/runs.py",
    "mml_core/evaluation/table.py",
    "mml_core/evaluation/uncertainty.py",
    "mml_core/evaluation/views.py",
]
PUBLISHED_CODE = [
    *TABLE_CODE,
    "mml_core/evaluation/claims.py",
    "mml_core/evaluation/combinations.py",
    "mml_core/evaluation/paper_table.py",
    "mml_core/plan/published.py",
]
MATRIX_CODE = ["mml_core/evaluation/matrix.py", "mml_core/report/matrix.py"]
REPORT_CODE = [
    "mml_core/report",
    "mml_core/evaluation/claims.py",
    "mml_core/evaluation/markdown.py",
    "mml_core/evaluation/paper_table.py",
    "mml_core/flow/picture.py",
]


def code(paths):
    """Return a digest of the program text in `paths`."""
    return code_digest(ROOT, paths)


FLOW_DIGESTS = {method: code(paths) for method, paths in FLOW_CODE.items()}
