"""Checks before a long run: what could end it later, found in seconds, and a table of what will run."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from tabulate import tabulate

from autojudge.engine.loading import slow_dtype
from autojudge.engine.models import (
    check_tokens,
    check_vocabulary,
    context_length,
    embedding_rows,
    hidden_size,
    load_generation_config,
    load_tokenizer,
)
from autojudge.engine.numerics import as_computed, is_invariant
from autojudge.engine.settings import own_models
from autojudge.engine.weights import check_weights, weight_bytes
from autojudge.errors import InputError
from autojudge.jobs.store import describe_bytes
from autojudge.mining.problems import check_shots, draw_problems
from autojudge.mining.references import check_problems
from autojudge.publishing.hub import check_labels, check_token
from autojudge.reading.prompts import encode_chat
from autojudge.reading.turns import describe_ends
from autojudge.sandbox import Sandbox
from autojudge.tasks import load_program_task, load_task, prompt_of, runs_programs
from autojudge.workflow.configuration import labels_source, pairs_of, uses_judge, uses_labels

OK, NOTE, FAULT = "ok", "note", "FAULT"  # from the least to the worst
MISMATCHES = 20  # per problem, about: the paper has 19.5 on GSM8K
OTHER_BYTES = 40_000  # per problem in all other tables, about
SPARE_BYTES = 2**30
WORKERS = 2  # programs of a dataset's own that run side by side
# Seconds of a GSM8K problem in the paper's code, and the pair, by the GPUs that a pair's job has at least, most first.
PAPER = {4: (706.0, "an 8B/70B pair on four A100s"), 1: (65.6, "a 1B/8B pair on an A100")}


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    state : str
        OK, NOTE or FAULT; a run with a FAULT would fail, one with a NOTE would not be what it could be.
    what : str
        What was checked.
    detail : str
        What was found, and for a note or a fault the remedy.
    """

    state: str
    what: str
    detail: str


def check_all(config: Mapping[str, Any], results: Path, gpus: int | None) -> Iterator[Finding]:
    """Yield the findings of every check of the config's runs.

    Parameters
    ----------
    results : Path
        Folder that the results go to.
    gpus : int or None
        GPUs that are visible here; None where a scheduler gives them.
    """
    for dataset in _datasets(config):
        yield from _check_dataset(config["datasets"][dataset], dataset, config["seed"])
        yield from _check_shards(config, dataset)
    for dataset, pair in _selected(config):
        yield from _check_pair(config, dataset, pair)
        if source := labels_source(config, dataset, pair):
            yield _attempt(f"labels of {dataset}, {pair}", partial(check_labels, source))
        yield _check_gpus(config["pairs"][pair], pair, gpus)
        yield from _check_dtypes(config["pairs"][pair], pair)
    yield _check_disk(config, results)
    yield _check_wandb(config["tracking"])
    if config.get("publish", {}).get("repo"):
        yield _attempt(f"Hub, {config['publish']['repo']}", check_token)


def _attempt(what: str, check: Callable[[], str]) -> Finding:
    """Return what a check returns, or the error that it raises."""
    try:
        return Finding(OK, what, check())
    except InputError as fault:
        return Finding(FAULT, what, str(fault))


def _selected(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(dataset, pair) for dataset in _datasets(config) for pair in pairs_of(config, dataset)]


def _datasets(config: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(run["dataset"] for run in config["runs"]))


def _check_pair(config: Mapping[str, Any], dataset: str, pair: str) -> Iterator[Finding]:
    """Check that both models can be had, share a tokenizer and hold a prompt with its response."""
    settings, entry = config["pairs"][pair], config["datasets"][dataset]

    def check() -> str:
        tokenizer, embedded = load_tokenizer(settings), embedding_rows(settings)
        check_vocabulary(tokenizer, embedded)
        context = min(context_length(model) for model in own_models(settings).values())
        asked = prompt_of(load_task(entry["task"]))
        check_shots(asked, entry["shots"], entry["task"])
        arguments = settings["target"].get("chat_template_kwargs")
        prompt = encode_chat(asked.messages("x " * 100, entry["shots"]), tokenizer, arguments)
        check_tokens(prompt, tokenizer, embedded)
        needed = len(prompt) + entry["max_new_tokens"]
        if needed > context:
            raise InputError(
                f"a prompt of {len(prompt)} tokens and max_new_tokens {entry['max_new_tokens']} exceed the models' "
                f"context of {context}; lower `datasets.{dataset}.max_new_tokens` or `shots`"
            )
        ends = describe_ends(tokenizer, load_generation_config(settings["target"]), arguments)
        return f"one tokenizer of {len(tokenizer)} tokens; about {needed} of a context of {context}; end tokens: {ends}"

    yield (models := _attempt(f"models of {pair} on {dataset}", check))
    memory = config["mining"].get("memory_mb") or settings["mem_mb"]
    weights = _attempt(f"weights of {pair}", lambda: _check_weights(settings, pair, memory))
    if weights.detail != models.detail:  # both need the config
        yield weights


def _check_weights(pair: Mapping[str, Any], name: str, memory_mb: int) -> str:
    """Return how large the weights are that lie here.

    Raises
    ------
    InputError
        They are cut off, not those of the config, or beyond the memory.
    """
    models = list(own_models(pair).values())
    for model in models:
        check_weights(model)
    sizes = [weight_bytes(as_computed(model)) if is_invariant(pair) else weight_bytes(model) for model in models]
    here = [model["device"] == "cpu" and not model["device_map"] for model in models]
    on_cpu = sum(size for size, on in zip(sizes, here, strict=True) if on)
    needed = int(1.1 * on_cpu / 10**6) + 1000  # and the program itself
    if on_cpu and needed > memory_mb:
        raise InputError(
            f"they take {describe_bytes(on_cpu)} of memory, and a mining job has {memory_mb} MB; set "
            f"`pairs.{name}.mem_mb` (or `mining.memory_mb`) to more than {needed}"
        )
    return f"{describe_bytes(sum(sizes))} in local folders"


def _check_dataset(entry: Mapping[str, Any], name: str, seed: int) -> Iterator[Finding]:
    """Check that its rows can be had and read, and that each split holds as many problems as are asked for.

    Where responses are programs: also that they can be run, on this machine at least, and each problem's own tests.
    """
    if not runs_programs(entry["task"]):
        yield _attempt(f"dataset {name}", lambda: _count(draw_problems(load_task(entry["task"]), entry, seed), entry))
        return
    opened: list[Sandbox] = []
    with ExitStack() as stack:

        def open_sandbox() -> str:
            opened.append(stack.enter_context(Sandbox(WORKERS)))
            return opened[0].description

        def check() -> str:
            sandbox = opened[0] if opened else None
            return _count(check_problems(load_program_task(entry["task"]), entry, seed, sandbox), entry)

        yield _attempt(f"sandbox for {name}", open_sandbox)
        yield _attempt(f"dataset {name}", check)


def _count(problems: Iterable[tuple[str, str, Any]], entry: Mapping[str, Any]) -> str:
    """Return how many problems of each split there are, of which each is an id, a split, and more."""
    splits = Counter(split for _, split, _ in problems)
    if entry.get("folds"):
        return f"{splits.total()} problems in {entry['folds']} folds"
    return ", ".join(f"{count} {split}" for split, count in splits.items()) + " problems"


def _check_gpus(pair: Mapping[str, Any], name: str, gpus: int | None) -> Finding:
    wanted, what = pair["gpus"], f"GPUs of {name}"
    on_gpu = any(m["device"] != "cpu" or m["device_map"] for m in own_models(pair).values())
    if on_gpu and not wanted:
        return Finding(FAULT, what, f"its models are on GPUs, but its jobs ask for none; set `pairs.{name}.gpus`")
    if not wanted:
        return Finding(OK, what, "none asked for")
    if gpus is None:
        return Finding(OK, what, f"{wanted} per job, given by the scheduler")
    if gpus < wanted:
        remedy = f"lower `pairs.{name}.gpus`, or run with --profile slurm"
        return Finding(FAULT, what, f"{wanted} per job, {gpus} visible here; {remedy}")
    return Finding(OK, what, f"{wanted} per job, {gpus} visible here")


def _check_dtypes(pair: Mapping[str, Any], name: str) -> Iterator[Finding]:
    """Yield a note for each model that this machine would be slow on, or whose numbers depend on the batch."""
    if is_invariant(pair):
        yield Finding(OK, f"numbers of {name}", "`numerics: invariant`: the same in whatever batch (docs/models.md)")
        return
    models = own_models(pair)
    for role, model in models.items():
        if warning := slow_dtype(model):
            yield Finding(NOTE, f"dtype of {name}'s {role}", warning)
    if any(model["dtype"] == "bfloat16" for model in models.values()):
        detail = (
            "in bfloat16 a text's logits depend on its batch, and near ties on them: about half of a real pair's "
            "labels, and whether lossless decoding, the target alone and the oracle agree (docs/models.md); set "
            f"`pairs.{name}.numerics: invariant`, or `dtype: float32`"
        )
        yield Finding(NOTE, f"numbers of {name}", detail)


def _check_shards(config: Mapping[str, Any], dataset: str) -> Iterator[Finding]:
    """Yield a fault where there are more mining jobs than problems."""
    shards, problems = config["mining"]["shards"], mined_problems(config, dataset)
    if 0 < problems < shards:
        detail = f"{shards} mining jobs for {problems} problems; lower `mining.shards`"
        yield Finding(FAULT, f"shards of {dataset}", detail)


def _check_disk(config: Mapping[str, Any], results: Path) -> Finding:
    needed = sum(estimate_bytes(config, *run) or 0 for run in _selected(config)) + SPARE_BYTES
    free = free_bytes(results)
    detail = f"about {describe_bytes(needed)} needed, {describe_bytes(free)} free in {results}"
    if free < needed:
        return Finding(FAULT, "disk", f"{detail}; free some, or link {results} to a larger disk")
    return Finding(OK, "disk", detail)


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that a folder, made or not, is on."""
    while not folder.exists():
        folder = folder.resolve().parent
    return shutil.disk_usage(folder).free


def _check_wandb(tracking: Mapping[str, Any]) -> Finding:
    if tracking["mode"] != "online":
        return Finding(OK, "W&B", f"mode {tracking['mode']}")
    logged_in = bool(os.environ.get("WANDB_API_KEY")) or _has_login(Path(os.path.expanduser("~/.netrc")))
    if not logged_in:
        return Finding(FAULT, "W&B", "mode online, but no login here; `wandb login`, or `tracking: {mode: offline}`")
    return Finding(OK, "W&B", "mode online, logged in")


def _has_login(netrc: Path) -> bool:
    return netrc.is_file() and "wandb" in netrc.read_text(encoding="utf-8", errors="replace")


def mined_problems(config: Mapping[str, Any], dataset: str) -> int:
    """Return how many problems of a dataset are mined."""
    entry = config["datasets"][dataset]
    if uses_labels(config) or (uses_judge(config) and entry.get("folds")):
        return _count_problems(entry)
    return entry["problems"]["train"] + entry["problems"]["validation"] if uses_judge(config) else 0


def _count_problems(entry: Mapping[str, Any]) -> int:
    return sum(count for count in entry["problems"].values() if count)


def estimate_bytes(config: Mapping[str, Any], dataset: str, pair: str) -> int | None:
    """Return about how much disk the tables of a dataset and pair take; None where a model cannot be had."""
    try:
        widths = sum(hidden_size(model) for model in own_models(config["pairs"][pair]).values())
    except InputError:
        return None  # told by the check of the models
    store_shards_and_whole, blocks_of_a_model, bytes_of_a_number = 4 / 3 + 2, 3, 2  # the store is in base64
    features = round(MISMATCHES * widths * blocks_of_a_model * bytes_of_a_number * store_shards_and_whole)
    problems = _count_problems(config["datasets"][dataset])
    return mined_problems(config, dataset) * features + problems * OTHER_BYTES


def plan(config: Mapping[str, Any], results: Path, benchmarks: Path) -> str:
    """Return what will run as a table: jobs, problems, and how long mining takes by earlier runs or by the paper.

    Parameters
    ----------
    results, benchmarks : Path
        Folders of the results and of snakemake's benchmarks.
    """
    rows = []
    for dataset, pair in _selected(config):
        problems, settings = mined_problems(config, dataset), config["pairs"][pair]
        problems = 0 if labels_source(config, dataset, pair) else problems
        made, timed = results / dataset / pair / "responses", benchmarks / "mine_labels" / dataset / pair
        seconds, basis = mining_seconds(made, timed, settings["gpus"])
        folds = config["judge"]["folds"] + (config["datasets"][dataset].get("folds") or 0)
        unit = "GPU-hours" if settings["gpus"] else "core-hours"
        hours = seconds and problems * seconds * (settings["gpus"] or settings["threads"]) / 3600
        rows.append(
            {
                "dataset": dataset,
                "pair": pair,
                "mining jobs": config["mining"]["shards"] if problems else 0,
                "problems mined": problems,
                "fits": len(config["judge"]["feature_sets"]) * (1 + folds) if uses_judge(config) else 0,
                "sweep jobs": config["decoding"]["shards"],
                "mining": "unknown" if hours is None else f"{hours:,.1f} {unit}",
                "by": basis,
                "disk": "unknown" if (size := estimate_bytes(config, dataset, pair)) is None else describe_bytes(size),
            }
        )
    return str(tabulate(rows, "keys", "github"))


def mining_seconds(made: Path, timed: Path, gpus: int) -> tuple[float, str] | tuple[None, str]:
    """Return the seconds of a mining job for each of its problems, and what they are taken from.

    Parameters
    ----------
    made, timed : Path
        Folders of the responses and of the benchmarks of earlier jobs, whatever their number was.
    """
    jobs = [(file, made / f"{file.stem}.parquet") for file in sorted(timed.glob("*.tsv"))]
    jobs = [(file, responses) for file, responses in jobs if responses.is_file()]
    if problems := sum(pq.read_metadata(responses).num_rows for _, responses in jobs):
        seconds = sum(float(pd.read_csv(file, sep="\t")["s"].iloc[-1]) for file, _ in jobs)
        return seconds / problems, f"{len(jobs)} earlier jobs ({timed})"
    found = next((known for least, known in PAPER.items() if gpus >= least), None)
    if found is None:
        return None, "no earlier job, and no GPU as the paper's"
    seconds, pair = found
    return seconds, f"{seconds} s per GSM8K problem, the paper's code with {pair}; longer responses take longer"


def describe(findings: Sequence[Finding]) -> str:
    """Return the findings as a table, the worst last so that they are seen."""
    rows = [vars(finding) for finding in sorted(findings, key=lambda f: (OK, NOTE, FAULT).index(f.state))]
    return str(tabulate(rows, "keys", "plain", maxcolwidths=[None, 40, 90]))
