import os
import re
import runpy
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# Not workflow.basedir, which is the folder of another workflow where this one is used as a module.
source = runpy.run_path(workflow.source_path("../workflow_scripts/autojudge/workflow/source.py"))
REPOSITORY = source["find_repository"](workflow.current_basedir)
WORKFLOW_SCRIPTS = REPOSITORY / "workflow_scripts"
source["use_library"](WORKFLOW_SCRIPTS)
config = source["with_defaults"](config, REPOSITORY)

from autojudge.workflow.configuration import check_config, datasets_of, left_in, pairs_of, uses_judge, uses_labels
from autojudge.engine.settings import own_models
from autojudge.workflow.dependencies import library_of
from autojudge.errors import InputError

try:
    check_config(config, REPOSITORY / "config/config.schema.yaml")
except InputError as fault:
    raise WorkflowError(str(fault)) from None

validate(config, "../config/config.schema.yaml")
for key in ("feature_sets", "classifiers"):
    config["judge"][key] = left_in(config["judge"][key])


wildcard_constraints:
    dataset="|".join(map(re.escape, config["datasets"])),
    pair="|".join(map(re.escape, config["pairs"])),
    feature_set="|".join(map(re.escape, config["judge"]["feature_sets"])),
    fold=r"validation|\d+-of-\d+",


scattergather:
    mine=config["mining"]["shards"],
    sweep=config["decoding"]["shards"],


def code(script, *registry_members):
    """A script and the library modules it imports; members of registries as functions of the wildcards' config."""

    def files(wildcards):
        members = tuple(member(wildcards) if callable(member) else member for member in registry_members)
        path = WORKFLOW_SCRIPTS / f"{script}.py"
        return [os.path.relpath(file) for file in (path, *library_of(path, members))]

    return files


def rule_modules():
    return [f"rules.{rule}" for rule in config["decoding"]["rules"]]


def swept_rules():
    """Thresholds of each swept rule."""
    return {rule: config["rules"][rule]["thresholds"] for rule in config["decoding"]["rules"]}


def task_module(wildcards):
    return f"tasks.{config['datasets'][wildcards.dataset]['task']}"


def task_modules():
    """The modules of all tasks of the runs."""
    return sorted({f"tasks.{config['datasets'][run['dataset']]['task']}" for run in config["runs"]})


@cache
def files_of_pair(pair):
    """Files of a pair's local model folders, and of its chat template; models of the hub have none."""
    folders = [Path(model["model"]).expanduser() for model in own_models(config["pairs"][pair]).values()]
    files = [str(file) for folder in folders if folder.is_dir() for file in folder.iterdir() if file.is_file()]
    return sorted([*files, *filter(None, [config["pairs"][pair]["target"]["chat_template"]])])


def model_files(wildcards):
    return files_of_pair(wildcards.pair)


def dataset_files(wildcards):
    """Local files of a dataset; a dataset of the hub, or a generated one, has none."""
    source = config["datasets"][wildcards.dataset]["source"]
    return [part for part in source.values() if isinstance(part, str)] if isinstance(source, dict) else []


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


def used_mismatches():
    """Which mismatches the judge is trained on, and how they are weighted."""
    return {key: config["judge"][key] for key in ("exclude_cut_off", "near_tie_weight")}


def of_each_fit(path):
    """The path for every feature set and fold."""
    count = config["judge"]["folds"]
    folds = ["validation", *(f"{i}-of-{count}" for i in range(1, count + 1))]
    return expand(path, feature_set=config["judge"]["feature_sets"], fold=folds)


def of_each_dataset(path):
    """The path for every dataset that a pair is run on."""
    return lambda wildcards: expand(path, dataset=datasets_of(config, wildcards.pair), pair=wildcards.pair)


def judge_artifact(wildcards):
    """Files of the judge that the sweep asks, if it asks one."""
    folder = f"results/{wildcards.dataset}/{wildcards.pair}/judge"
    return [f"{folder}/judge.json", f"{folder}/judge.safetensors"] if uses_judge(config) else []


def tracked_config(wildcards):
    """What defines the runs of a dataset on W&B."""
    return {key: config[key] for key in ("seed", "mining", "judge", "decoding", "rules")} | {
        "dataset": config["datasets"][wildcards.dataset],
        "pairs": {pair: config["pairs"][pair] for pair in figure_pairs(wildcards)},
    }


# Functions and not snakemake's `lookup`, which walks the whole config for every job: ten thousand shards take a minute more.
def pair_settings(wildcards):
    """A pair's models; not its resources, which change no result and may be raised without running anything again."""
    return {role: config["pairs"][wildcards.pair][role] for role in ("draft", "target")}


def dataset_settings(wildcards):
    return config["datasets"][wildcards.dataset]


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
    figure = [f"results/{dataset}_pareto.{suffix}" for suffix in ("pdf", "png", "csv")]
    of_judge = ("tokens.html", "judges.md", "learning_curve.pdf") if uses_judge(config) else ()
    pages = expand("results/{dataset}/{pair}/{name}", dataset=dataset, pair=pairs, name=of_judge)
    per_pair = ("answers.md", "speed.pdf")
    reports = expand("results/{dataset}/{pair}/{name}", dataset=dataset, pair=pairs, name=per_pair)
    return figure + pages + reports + [f"results/{dataset}_wandb.json"] + shards_of_run(dataset, pairs)
