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

from autojudge.workflow.configuration import (
    agreement_of,
    check_answers,
    check_config,
    check_label_source,
    check_path,
    check_publishable,
    datasets_of,
    judge_rule,
    labels_source,
    left_in,
    likelihood_of,
    loaded_labels,
    pairs_of,
    public_source,
    published_runs,
    repositories_of,
    samples_of,
    uses_judge,
    uses_labels,
)
from autojudge.judging.classifiers import CLASSIFIERS
from autojudge.judging.needs import list_served
from autojudge.rules import RULES, module_of
from autojudge.sandbox import VERSION
from autojudge.tables.folds import list_folds, list_parts
from autojudge.tables.pair_names import join_source, split_source
from autojudge.tasks import TASKS, runs_programs
from autojudge.workflow.fingerprints import code_digest, identify_labels, identify_models, identify_source
from autojudge.workflow.label_sources import (
    check_exact,
    check_sampled,
    describe_sources,
    list_sources,
    mined_for,
    mines_the_same,
    with_label_sources,
)
from autojudge.workflow.served import digest_served_files, measuring_code
from autojudge.errors import InputError


def told(function, *arguments):
    """What a function of the library returns; snakemake shows its InputError as one message, without a traceback."""
    try:
        return function(*arguments)
    except InputError as fault:
        raise WorkflowError(str(fault)) from None


told(check_config, config, REPOSITORY / "config/config.schema.yaml")
validate(config, "../config/config.schema.yaml")
for key in ("feature_sets", "classifiers"):
    config["judge"][key] = left_in(config["judge"][key])
config["rules"] = {name: left_in(settings) for name, settings in config["rules"].items()}
config = with_label_sources(config)


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


SERVED = "|".join(list_served())
OWN_PAIRS = "|".join(re.escape(pair) for pair in config["pairs"] if split_source(pair)[1] is None)
FOLDS = "|".join(sorted({"", *(part for d in config["datasets"].values() for part in list_parts(d["folds"]))}))


wildcard_constraints:
    dataset="|".join(map(re.escape, config["datasets"])),
    pair="|".join(map(re.escape, config["pairs"])),
    feature_set="|".join(map(re.escape, config["judge"]["feature_sets"])),
    fold=r"validation|\d+-of-\d+",
    part=FOLDS,


scattergather:
    mine=config["mining"]["shards"],
    sweep=config["decoding"]["shards"],


def code(script, *members):
    """Digests of what a script means, with all that it reaches, and of members of registries that it loads by name."""
    own = digest_of(WORKFLOW_SCRIPTS / f"{script}.py")
    return lambda wildcards: {"script": own} | {k: v for member in members for k, v in member(wildcards).items()}


def digest_of(file):
    return told(code_digest, file)


@cache
def digests_of(registry, *names):
    """Digest of each member; kept, as ten thousand jobs ask."""
    return {name: digest_of(registry.path(name)) for name in names}


def decoding_settings(wildcards):
    """How a sweep decodes, where a dataset has answers; not its batch, which changes no result."""
    check_answers(config, wildcards.dataset)
    keys = ("windows", "branches", "temperature", "top_p", "repeats", "truncated")
    kept = {key: config["decoding"][key] for key in keys}
    kept |= {"target_first": True} if config["decoding"]["target_first"] else {}
    return kept | {"max_new_tokens": config["datasets"][wildcards.dataset]["max_new_tokens"]}


def speed_settings(wildcards):
    """How speed is measured; not the time that it may take, so that another one leaves what was measured as it is."""
    kept = {key: value for key, value in config["speed"].items() if key != "minutes"}
    limit, folds = config["datasets"][wildcards.dataset]["max_new_tokens"], swept_folds(wildcards)
    kept |= {"fold": folds[0]} if folds else {}
    return kept | {"max_new_tokens": limit, "rules": swept_rules(wildcards)}


def task_member(wildcards):
    """Digest of the dataset's task, and where its responses are programs, the version of their verdicts."""
    task = config["datasets"][wildcards.dataset]["task"]
    return digests_of(TASKS, task) | ({"sandbox": VERSION} if runs_programs(task) else {})


def rule_members(wildcards):
    return digests_of(RULES, *(module_of(name, settings) for name, settings in swept_rules(wildcards).items()))


def classifier_members(wildcards):
    return digests_of(CLASSIFIERS, *config["judge"]["classifiers"])


def swept_rules(wildcards):
    """The entry of each swept rule; of a further judge those alone that recommend its threshold."""
    further = ("lossless", *judge_rule(config, config["rules"]))
    names = further if is_further(wildcards) else config["decoding"]["rules"]
    return {name: config["rules"][name] for name in names}


def is_further(wildcards):
    """Tell whether a judge is further to the pair's own: for an engine, or of another source of labels."""
    return bool(wildcards.get("part") or split_source(wildcards.get("pair", ""))[1])


@cache
def models_of(pair):
    return told(identify_models, config["pairs"][pair])


def models_of_pair(wildcards):
    """What identifies a pair's models: their contents, not their places or dates, and no resource of the pair's jobs."""
    return models_of(wildcards.pair)


def served_code(wildcards):
    """What lies beside an exported judge; a function, as it takes long for something that each job would ask."""
    return digest_served_files()


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


def uses_agreement():
    """Tell whether problems are mined, and alternatives stopped."""
    return config["mining"]["agreement"] is not None and (uses_judge(config) or uses_labels(config))


def agreement_of_dataset(wildcards):
    """When alternatives are stopped, where the dataset's labels can be had so."""
    of_pair = mined_for(config, wildcards.pair)
    check_label_source(of_pair, wildcards.dataset)
    return agreement_of(of_pair)


def likelihood_of_pair(wildcards):
    """How a pair's mismatches are labelled by likelihood, if they are."""
    return likelihood_of(mined_for(config, wildcards.pair))


def samples_of_pair(wildcards):
    """What is sampled of a pair's mismatches, if anything."""
    return samples_of(mined_for(config, wildcards.pair))


def labels_mined_alike(wildcards):
    """The labels of the pair itself, where a source of labels mines the same, which it then takes from the store."""
    pair = split_source(wildcards.pair)[0]
    return [f"results/{wildcards.dataset}/{pair}/labels.parquet"] if mines_the_same(config, wildcards.pair) else []


def samples_count(wildcards):
    """How many samples of each mismatch there are, if any are drawn."""
    check_sampled(config, *wildcards_of(wildcards))
    return samples_of_pair(wildcards)["count"]


def refuse_names(wildcards):
    """No file, but an error that tells which of a path's dataset and pair is unknown, and which are known."""
    told(check_path, config, *wildcards.unknown.split("/"))
    return []


def wildcards_of(wildcards):
    return wildcards.dataset, wildcards.pair


def described_labels(wildcards):
    """What the labels of others are: the data set of the Hub, or the contents of a local one."""
    return identify_labels(labels_source(config, *wildcards_of(wildcards)))


def mined_labels(wildcards):
    """The mined labels, if a swept rule reads them."""
    reads = uses_labels(config) and not is_further(wildcards)
    return [f"results/{wildcards.dataset}/{wildcards.pair}/labels.parquet"] if reads else []


def mined_responses(wildcards):
    """The mined responses, if the run mines."""
    mines = (uses_judge(config) or uses_labels(config)) and not labels_source(config, *wildcards_of(wildcards))
    return [f"results/{wildcards.dataset}/{wildcards.pair}/responses.parquet"] if mines else []


def used_mismatches(wildcards):
    """Which mismatches a judge is trained on, and how they are weighted."""
    kept = {key: config["judge"][key] for key in ("exclude_cut_off", "near_tie_weight")}
    kept |= {"only_correct": True} if config["judge"]["only_correct"] else {}
    part = wildcards.get("part", "")
    return kept | ({"held_out": Path(part).name} if kind_of(part) == "folds" else {})


def kind_of(part):
    """Whose judge a part of the paths is of: `folds`, of a fold; `serves`, of an engine; else nothing."""
    return Path(part).parent.name


def of_each_fit(path):
    """The path for every feature set and fold of the figures; the judge of a dataset's fold needs validation alone."""

    def paths(wildcards):
        folds = ["validation", *([] if wildcards.part else list_folds(config["judge"]["folds"]))]
        return expand(path, **wildcards, feature_set=config["judge"]["feature_sets"], fold=folds)

    return paths


def of_each_source(path):
    """The path for the pair itself, and for it with each source of labels; for all folds where it has a part."""

    def paths(wildcards):
        check_sources(wildcards)
        pairs = [wildcards.pair, *(join_source(wildcards.pair, name) for name in list_sources(config))]
        parts = list_parts(dataset_value("folds")(wildcards)) if "{part}" in path else [""]
        return expand(path, dataset=wildcards.dataset, pair=pairs, part=parts)

    return paths


def check_sources(wildcards):
    """Check that there is something to compare, and that the pair's own labels are exact."""
    check_exact(config)
    if not list_sources(config):
        raise InputError("config key `label_sources`: names no source to compare with exact labels; name one")
    if not judge_rule(config, config["decoding"]["rules"]):
        raise InputError(
            "config key `decoding.rules`: sources of labels are compared by their judges; name the rule `judge`"
        )
    for name in list_sources(config):
        try:
            check_label_source(mined_for(config, join_source(wildcards.pair, name)), wildcards.dataset)
        except InputError as fault:
            raise InputError(f"source `{name}` of `label_sources` (null leaves it out): {fault}") from None


def compared_rules(wildcards):
    """The rule that asks the judge, in the pair's own sweep, then in that of each source of labels."""
    further = judge_rule(config, config["rules"]) * len(list_sources(config))
    return judge_rule(config, config["decoding"]["rules"]) + further


def of_each_dataset(path):
    """The path for every dataset that a pair is run on."""
    return lambda wildcards: expand(path, dataset=datasets_of(config, wildcards.pair), pair=wildcards.pair)


def of_fits(name):
    """A table of the grid that a judge is chosen from: its fold's, or that of all problems, whatever the engine."""

    def path(wildcards):
        fold = wildcards.part if kind_of(wildcards.part) == "folds" else ""
        return f"results/{wildcards.dataset}/{wildcards.pair}{fold}/{name}"

    return path


def judge_settings(wildcards):
    """How the judge is chosen, for the engine that its folder names or the config does."""
    select, part = config["judge"]["select"], wildcards.part
    select = select | ({"serves": Path(part).name} if kind_of(part) == "serves" else {})
    return {"feature_sets": config["judge"]["feature_sets"], "select": select}


def sweep_judges(wildcards):
    """Files of the judge that the sweep asks, or of each fold's, if it asks one."""
    if not (is_further(wildcards) or uses_judge(config)):
        return []
    part = wildcards.get("part", "")
    parts = [part] if part else list_parts(dataset_value("folds")(wildcards))
    place = {"dataset": wildcards.dataset, "pair": wildcards.pair}
    folders = expand("results/{dataset}/{pair}{part}/judge", **place, part=parts)
    return [f"{folder}/{name}" for folder in folders for name in ("judge.json", "judge.safetensors")]


def timed_judge(wildcards):
    """Files of the judge whose speed is measured, if there is one: of folds the first one's."""
    return sweep_judges(wildcards)[:2]


def served_judge(wildcards):
    """Files of the judge that vLLM is measured with: the exported one, or the first fold's, as that has test problems."""
    place, folds = f"results/{wildcards.dataset}/{wildcards.pair}", swept_folds(wildcards)
    folder = f"{place}/folds/{folds[0]}/judge" if folds else f"{place}/export"
    return [f"{folder}/judge.json", f"{folder}/judge.safetensors"]


def vllm_settings(wildcards):
    """What is measured in vLLM; not by which Python."""
    kept = {key: value for key, value in config["vllm"].items() if key != "python"}
    kept["tensor_parallel_size"] = kept["tensor_parallel_size"] or max(1, config["pairs"][wildcards.pair]["gpus"])
    folds, limit = swept_folds(wildcards), config["datasets"][wildcards.dataset]["max_new_tokens"]
    kept |= {"fold": folds[0]} if folds else {}
    return kept | {"pair": wildcards.pair, "max_new_tokens": limit, "seed": config["seed"]}


def vllm_members(wildcards):
    """Digests of what measures in vLLM, and of the plugin that serves the judge there."""
    return measuring_code()


def recommending_sweep(wildcards):
    """The sweep that recommends a judge's threshold and what it needs, if a judge is swept without modifiers."""
    place = f"results/{wildcards.dataset}/{wildcards.pair}"
    found = [f"{place}{wildcards.part}/sweep.parquet", f"{place}/call_cost.json"]
    return found if judge_rule(config, swept_rules(wildcards)) else []


def export_settings(wildcards):
    """By what the operating point of an exported judge is found."""
    name = next(iter(judge_rule(config, swept_rules(wildcards))), None)
    return {"pair": wildcards.pair, "rule": name, "tolerance": config["decoding"]["tolerance"], "seed": config["seed"]}


def repositories(wildcards):
    return repositories_of(config, *wildcards_of(wildcards))


def all_repositories(wildcards):
    """Names of the repositories of every run."""
    return [repositories_of(config, *run) for run in published_runs(config)]


def publish_settings(wildcards):
    """What staged files depend on of `publish`."""
    return {key: config["publish"][key] for key in ("texts", "licence")} | {"repos": repositories(wildcards)}


def published_labels(wildcards):
    """What the labels are of and how they were mined."""
    of_pair = mined_for(config, wildcards.pair)
    dataset = config["datasets"][wildcards.dataset]
    kept = {"dataset": wildcards.dataset, "pair": wildcards.pair, "seed": config["seed"]}
    kept |= {"task": dataset["task"], "max_new_tokens": dataset["max_new_tokens"]}
    kept |= {"agreement": agreement_of(of_pair), "likelihood": likelihood_of(of_pair), "samples": samples_of(of_pair)}
    kept |= {"source": public_source(dataset["source"])}
    return kept | {"models": models_of(wildcards.pair)}


def origin_of_labels(wildcards):
    """Where loaded labels come from; nothing for mined ones."""
    loaded = labels_source(config, *wildcards_of(wildcards))
    return [f"results/{wildcards.dataset}/{wildcards.pair}/labels_source.json"] if loaded else []


def published_export(wildcards):
    """Files of the exported judge; a config that cannot be published is told before any job runs."""
    told(check_publishable, config)
    names = ("judge.json", "judge.safetensors", "README.md", "custom_generate")
    return [f"results/{wildcards.dataset}/{wildcards.pair}/export/{name}" for name in names]


def of_each_published(name):
    """A part of the publication of every run; a config that cannot be published is told before any job runs."""

    def paths(wildcards):
        runs = told(published_runs, config)
        if name == "published.json" and not workflow.dryrun:
            from autojudge.publishing.hub import check_token

            told(check_token)
        return [f"results/{dataset}/{pair}/publish/{name}" for dataset, pair in runs]

    return paths


def swept_folds(wildcards):
    """The dataset's folds, if it has any; a further judge is of all problems."""
    return [] if wildcards.get("part") else list_folds(config["datasets"][wildcards.dataset]["folds"])


def tracked_config(wildcards):
    """What defines the runs of a dataset on W&B; not how its jobs run."""
    judge = {key: value for key, value in config["judge"].items() if key not in ("threads", "mem_mb")}
    decoding = {key: value for key, value in config["decoding"].items() if key not in ("shards", "batch")}
    labels = {pair: labels_source(config, wildcards.dataset, pair) for pair in figure_pairs(wildcards)}
    labels = left_in(labels)
    kept = {"seed": config["seed"], "rules": config["rules"], "judge": judge, "decoding": decoding}
    kept |= {"labels": labels} if labels else {}
    pairs = {pair: models_of(pair) for pair in figure_pairs(wildcards)}
    return kept | {"dataset": described_dataset(wildcards), "pairs": pairs}


def shown_config(wildcards):
    """What a pair's results depend on, for readers."""
    mining = mined_for(config, wildcards.pair)["mining"]
    return tracked_config(wildcards) | {"mining": {key: mining[key] for key in ("agreement", "likelihood", "samples")}}


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


def token_pages(path):
    """The path for every pair of the dataset's figure that has a judge and mined texts."""

    def paths(wildcards):
        mined = [pair for pair in figure_pairs(wildcards) if not labels_source(config, wildcards.dataset, pair)]
        return expand(path, dataset=wildcards.dataset, pair=mined if uses_judge(config) else [])

    return paths


def shards_of_run(dataset, pairs):
    """Every shard, so that `all` makes a deleted one again."""
    mined = [
        gather.mine("results/{{dataset}}/{{pair}}/labels/{scatteritem}.parquet"),
        gather.mine("results/{{dataset}}/{{pair}}/features/{scatteritem}.parquet"),
        gather.mine("results/{{dataset}}/{{pair}}/responses/{scatteritem}.parquet"),
    ]
    swept = gather.sweep("results/{{dataset}}/{{pair}}/sweep/{scatteritem}.parquet")
    mining = [pair for pair in pairs if uses_judge(config) and not labels_source(config, dataset, pair)]
    return [
        *(path for shards in mined for path in expand(shards, dataset=dataset, pair=mining)),
        *expand(swept, dataset=dataset, pair=pairs),
    ]


def pair_results(dataset, pair):
    """What a run makes of a pair, beside the index of it."""
    of_judge = (
        "judges.md",
        "ablation.pdf",
        "learning_curve.pdf",
        "judge/README.md",
        "export/judge.json",
    )
    of_judge = of_judge if uses_judge(config) else ()
    mined = not labels_source(config, dataset, pair)  # loaded labels may have no texts
    of_mining = [*(["tokens.html"] if uses_judge(config) else []), *(["mining.md"] if uses_agreement() else [])]
    names = [*of_judge, "answers.md", "speed.pdf", *(of_mining if mined else [])]
    return [f"results/{dataset}/{pair}/{name}" for name in names]


def linked_results(wildcards):
    """What a run makes of a pair, which its index links."""
    return pair_results(wildcards.dataset, wildcards.pair)


def pair_pages():
    """A pair's pages in Markdown, by the name that they have as HTML, and what the report calls them."""
    pages = {"answers": ("answers.md", "Answers")}
    pages |= {"mining": ("mining.md", "Mining")} if uses_agreement() else {}
    of_judge = {"judges": ("judges.md", "Judges compared"), "model_card": ("export/README.md", "Model card")}
    return pages | (of_judge if uses_judge(config) else {})


def named_results(wildcards):  # not of `input`: what a parameter takes from there makes no job run again
    """What was made by name beside the default target: with more of it, the index is written anew."""
    place = f"results/{wildcards.dataset}/{wildcards.pair}"
    named = [f"{place}/{name}.pdf" for name in ("vllm", "label_sources", "label_stability")]
    named += [f"results/{wildcards.pair}_transfer.pdf"]
    return [path for path in named if Path(path).exists()]


def in_report(path, caption, result, pair="all pairs", dataset="{dataset}"):
    """A result in the report of `snakemake --report`: by dataset, then by pair."""
    caption = f"../report/{caption}.rst"
    return report(path, caption=caption, category=dataset, subcategory=pair, labels={"result": result})


def run_results(dataset, pairs):
    """What one run makes."""
    of_dataset = ("pareto.pdf", "pareto.png", "pareto.csv", "summary.md", "summary.html", "wandb.json")
    figure = [f"results/{dataset}_{name}" for name in of_dataset]
    of_pairs = [path for pair in pairs for path in pair_results(dataset, pair)]
    indices = expand("results/{dataset}/{pair}/index.html", dataset=dataset, pair=pairs)
    return figure + of_pairs + indices + shards_of_run(dataset, pairs)
