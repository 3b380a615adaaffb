"""Raw videos to single networks and ensembles: the workflow's table of contents.

REQUIRED INPUTS:
    config/config.yaml              which data set and which recipes
    config/datasets/<dataset>.yaml  videos, annotations, modalities
    config/recipes/<recipe>.yaml    stages of training, tables
OUTPUTS:
    results/ensemble_table.csv (and .md), results/report.html,
    results/data_quality.csv (and .html), results/label_issues.csv (and .html)
"""

from snakemake.utils import min_version

min_version("9.19")


# the folder benchmarks/ holds programs, not what rules measured of themselves
pathvars:
    benchmarks="results/benchmarks",


configfile: "config/config.yaml"


# what `snakemake --report` begins with
report: "workflow/report/workflow.rst"


# Where files are in a storage (profiles/kubernetes), jobs read them there instead of copying them first.
inputflags:
    access.sequential,


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/stage_inputs.smk"
include: "rules/products.smk"
include: "rules/page_inputs.smk"
include: "rules/overview_inputs.smk"
include: "rules/quality_inputs.smk"
include: "rules/figure_inputs.smk"
include: "rules/data.smk"
include: "rules/quality.smk"
include: "rules/modalities.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/paper.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
include: "rules/labels.smk"


onstart:
    begin()


if Path(workflow.basedir).resolve() != ROOT.resolve():
    begin_as_module()


rule all:
    default_target: True
    input:
        "<results>/ensemble_table.csv",
        "<results>/data_quality.csv",
        "<results>/data_quality.html",
        "<results>/label_issues.html",
        "<results>/report.html",
