from snakemake.utils import min_version

min_version("9.0")


report: "report/workflow.rst"


include: "rules/common.smk"  # merges the config over config/config.yaml, which `configfile:` does not do in a module
include: "rules/slurm.smk"


if config["container"]:

    container: config["container"]


include: "rules/data.smk"
include: "rules/mine.smk"
include: "rules/judge.smk"
include: "rules/decode.smk"
include: "rules/report.smk"
include: "rules/sources.smk"
include: "rules/serve.smk"
include: "rules/publish.smk"
include: "rules/testbed.smk"
include: "rules/preflight.smk"
include: "rules/store.smk"
include: "rules/unknown.smk"


rule all:
    """Make the figures, token pages and tracked runs of all selected runs."""
    default_target: workflow.modifier.is_main_snakefile()
    input:
        [path for run in config["runs"] for path in run_results(run["dataset"], run["pairs"])],
