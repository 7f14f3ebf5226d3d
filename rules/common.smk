import re
import runpy
from contextlib import suppress
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# Not workflow.basedir, which is the folder of another workflow where this one is used as a module.
source = runpy.run_path(workflow.source_path("../workflow_scripts/autojudge/workflow/source.py"))
REPOSITORY = source["find_repository"](workflow.current_basedir)
WORKFLOW_SCRIPTS = REPOSITORY / "workflow_scripts"
source["use_library"](WORKFLOW_SCRIPTS)
source["start_anywhere"]()
arguments = workflow.config_settings.config_args if workflow.modifier.is_main_snakefile() else None
config = source["with_defaults"](config, REPOSITORY, arguments or ())

from autojudge.workflow.configuration import check_config, datasets_of, left_in, pairs_of, uses_judge, uses_labels
from autojudge.judging.classifiers import CLASSIFIERS
from autojudge.rules import RULES, module_of
from autojudge.sandbox import VERSION
from autojudge.tables.folds import list_folds, list_parts
from autojudge.tasks import TASKS, runs_programs
from autojudge.workflow.fingerprints import code_digest, identify_models, identify_source
from autojudge.errors import InputError

try:
    check_config(config, REPOSITORY / "config/config.schema.yaml")
except InputError as fault:
    raise WorkflowError(str(fault)) from None

validate(config, "../config/config.schema.yaml")
for key in ("feature_sets", "classifiers"):
    config["judge"][key] = left_in(config["judge"][key])
config["rules"] = {name: left_in(settings) for name, settings in config["rules"].items()}


def keep_records_with_results():
    """Let snakemake's records of what made each result lie beside the results, so that a copy of these is complete."""
    records, link = Path("results/.snakemake"), Path(".snakemake/metadata")
    if link.is_dir() and not link.is_symlink():
        if records.exists():
            return
        records.parent.mkdir(exist_ok=True)
        link.rename(records)
    records.mkdir(parents=True, exist_ok=True)
    (link.parent / "incomplete").mkdir(parents=True, exist_ok=True)  # else snakemake takes the records for older ones
    with suppress(FileExistsError):
        link.symlink_to("../results/.snakemake")


if Path(workflow.basedir).resolve() == WORKFLOW_SCRIPTS.resolve().parent:  # a module's records are the outer workflow's
    keep_records_with_results()


wildcard_constraints:
    dataset="|".join(map(re.escape, config["datasets"])),
    pair="|".join(map(re.escape, config["pairs"])),
    feature_set="|".join(map(re.escape, config["judge"]["feature_sets"])),
    fold=r"validation|\d+-of-\d+",
    part="|".join(sorted({"", *(part for d in config["datasets"].values() for part in list_parts(d["folds"]))})),


scattergather:
    mine=config["mining"]["shards"],
    sweep=config["decoding"]["shards"],


def code(script, *members):
    """Digests of what a script means, with all that it reaches, and of members of registries that it loads by name."""
    own = digest_of(WORKFLOW_SCRIPTS / f"{script}.py")
    return lambda wildcards: {"script": own} | {k: v for member in members for k, v in member(wildcards).items()}


def digest_of(file):
    try:
        return code_digest(file)
    except InputError as fault:
        raise WorkflowError(str(fault)) from None


@cache
def digests_of(registry, *names):
    """Digest of each member; kept, as ten thousand jobs ask."""
    return {name: digest_of(registry.path(name)) for name in names}


def decoding_settings(wildcards):
    """How a sweep decodes; not its batch, which changes no result."""
    keys = ("windows", "branches", "temperature", "top_p", "repeats", "truncated")
    kept = {key: config["decoding"][key] for key in keys}
    return kept | {"max_new_tokens": config["datasets"][wildcards.dataset]["max_new_tokens"]}


def speed_settings(wildcards):
    """How speed is measured; not the time that it may take, so that another one leaves what was measured as it is."""
    kept = {key: value for key, value in config["speed"].items() if key != "minutes"}
    limit, folds = config["datasets"][wildcards.dataset]["max_new_tokens"], swept_folds(wildcards)
    kept |= {"fold": folds[0]} if folds else {}
    return kept | {"max_new_tokens": limit, "rules": swept_rules()}


def task_member(wildcards):
    """Digest of the dataset's task, and where its responses are programs, the version of their verdicts."""
    task = config["datasets"][wildcards.dataset]["task"]
    return digests_of(TASKS, task) | ({"sandbox": VERSION} if runs_programs(task) else {})


def rule_members(wildcards):
    return digests_of(RULES, *(module_of(name, config["rules"][name]) for name in config["decoding"]["rules"]))


def classifier_members(wildcards):
    return digests_of(CLASSIFIERS, *config["judge"]["classifiers"])


def swept_rules():
    """The entry of each swept rule."""
    return {name: config["rules"][name] for name in config["decoding"]["rules"]}


@cache
def models_of(pair):
    try:
        return identify_models(config["pairs"][pair])
    except InputError as fault:
        raise WorkflowError(str(fault)) from None


def models_of_pair(wildcards):
    """What identifies a pair's models: their contents, not their places or dates, and no resource of the pair's jobs."""
    return models_of(wildcards.pair)


def models_of_runs():
    """What identifies the models of every pair of the runs."""
    return {pair: models_of(pair) for run in config["runs"] for pair in run["pairs"]}


def swept_runs():
    """What every run has swept, and with it, where the run needs them, its labels and its judge."""
    return [f"results/{run['dataset']}/{pair}/sweep.parquet" for run in config["runs"] for pair in run["pairs"]]


def described_dataset(wildcards):
    """A dataset's settings that its problems depend on; local files by their contents."""
    settings = config["datasets"][wildcards.dataset]
    kept = {key: settings[key] for key in ("task", "problems", "shots", "max_new_tokens")}
    kept |= {"folds": settings["folds"]} if settings["folds"] else {}
    return kept | {"source": identify_source(settings["source"])}


def described_tests(wildcards):
    """A dataset's settings that its tests depend on."""
    of_prompts = ("shots", "max_new_tokens", "folds")
    return {key: value for key, value in described_dataset(wildcards).items() if key not in of_prompts}


def tests_of_dataset(wildcards):
    """What tests the programs of a dataset's responses, if they are programs."""
    programs = runs_programs(config["datasets"][wildcards.dataset]["task"])
    return [f"results/{wildcards.dataset}/tests.parquet"] if programs else []


def mined_splits():
    """Splits that are mined: those that train and choose the judge, and all if a swept rule reads labels."""
    return ["train", "validation", *(["test"] if uses_labels(config) else [])]


def mined_labels(wildcards):
    """The mined labels, if a swept rule reads them."""
    return [f"results/{wildcards.dataset}/{wildcards.pair}/labels.parquet"] if uses_labels(config) else []


def mined_responses(wildcards):
    """The mined responses, if the run mines."""
    mines = uses_judge(config) or uses_labels(config)
    return [f"results/{wildcards.dataset}/{wildcards.pair}/responses.parquet"] if mines else []


def used_mismatches(wildcards):
    """Which mismatches a judge is trained on, and how they are weighted."""
    kept = {key: config["judge"][key] for key in ("exclude_cut_off", "near_tie_weight")}
    kept |= {"only_correct": True} if config["judge"]["only_correct"] else {}
    part = wildcards.get("part")
    return kept | ({"held_out": Path(part).name} if part else {})


def of_each_fit(path):
    """The path for every feature set and fold of the figures; the judge of a dataset's fold needs validation alone."""

    def paths(wildcards):
        folds = ["validation", *([] if wildcards.part else list_folds(config["judge"]["folds"]))]
        return expand(path, **wildcards, feature_set=config["judge"]["feature_sets"], fold=folds)

    return paths


def of_each_dataset(path):
    """The path for every dataset that a pair is run on."""
    return lambda wildcards: expand(path, dataset=datasets_of(config, wildcards.pair), pair=wildcards.pair)


def sweep_judges(wildcards):
    """Files of the judge that the sweep asks, or of each fold's, if it asks one."""
    if not uses_judge(config):
        return []
    parts = list_parts(dataset_value("folds")(wildcards))
    folders = expand("results/{dataset}/{pair}{part}/judge", **wildcards, part=parts)
    return [f"{folder}/{name}" for folder in folders for name in ("judge.json", "judge.safetensors")]


def timed_judge(wildcards):
    """Files of the judge whose speed is measured, if there is one: of folds the first one's."""
    return sweep_judges(wildcards)[:2]


def swept_folds(wildcards):
    """The dataset's folds, if it has any."""
    return list_folds(config["datasets"][wildcards.dataset]["folds"])


def tracked_config(wildcards):
    """What defines the runs of a dataset on W&B; not how its jobs run."""
    judge = {key: value for key, value in config["judge"].items() if key not in ("threads", "mem_mb")}
    decoding = {key: value for key, value in config["decoding"].items() if key not in ("shards", "batch")}
    return {"seed": config["seed"], "rules": config["rules"], "judge": judge, "decoding": decoding} | {
        "dataset": described_dataset(wildcards),
        "pairs": {pair: models_of(pair) for pair in figure_pairs(wildcards)},
    }


# Functions and not snakemake's `lookup`, which walks the whole config for every job: ten thousand shards take a minute more.
def dataset_value(name):
    """A value of the dataset's config entry."""
    return lambda wildcards: config["datasets"][wildcards.dataset][name]


def blocks_of_set(wildcards):
    return config["judge"]["feature_sets"][wildcards.feature_set]


def pair_resource(name):
    """A resource of the pair's jobs, as its config entry states it."""
    return lambda wildcards: config["pairs"][wildcards.pair][name]


def growing(value):
    """A resource that grows with every attempt."""
    return lambda wildcards, attempt: attempt * value


def growing_pair_resource(name):
    """A resource of the pair's jobs that grows with every attempt."""
    return lambda wildcards, attempt: attempt * config["pairs"][wildcards.pair][name]


def figure_pairs(wildcards):
    return pairs_of(config, wildcards.dataset)


def of_each_pair(path):
    """The path for every pair of the dataset's figure."""
    return lambda wildcards: expand(path, dataset=wildcards.dataset, pair=figure_pairs(wildcards))


def judges_of_figure(path):
    """The path for every pair of the dataset's figure where a judge is swept, else nothing."""
    return lambda wildcards: of_each_pair(path)(wildcards) if uses_judge(config) else []


def shards_of_run(dataset, pairs):
    """Every shard, so that `all` makes a deleted one again."""
    mined = [
        gather.mine("results/{{dataset}}/{{pair}}/labels/{scatteritem}.parquet"),
        gather.mine("results/{{dataset}}/{{pair}}/features/{scatteritem}.parquet"),
        gather.mine("results/{{dataset}}/{{pair}}/responses/{scatteritem}.parquet"),
    ]
    swept = gather.sweep("results/{{dataset}}/{{pair}}/sweep/{scatteritem}.parquet")
    tables = [*(mined if uses_judge(config) else []), swept]
    return [path for shards in tables for path in expand(shards, dataset=dataset, pair=pairs)]


def run_results(dataset, pairs):
    """What one run makes."""
    of_dataset = ("pareto.pdf", "pareto.png", "pareto.csv", "summary.md", "wandb.json")
    figure = [f"results/{dataset}_{name}" for name in of_dataset]
    of_judge = ("tokens.html", "judges.md", "ablation.pdf", "learning_curve.pdf", "judge/README.md")
    of_judge = of_judge if uses_judge(config) else ()
    pages = expand("results/{dataset}/{pair}/{name}", dataset=dataset, pair=pairs, name=of_judge)
    per_pair = ("answers.md", "speed.pdf")
    reports = expand("results/{dataset}/{pair}/{name}", dataset=dataset, pair=pairs, name=per_pair)
    return figure + pages + reports + shards_of_run(dataset, pairs)
