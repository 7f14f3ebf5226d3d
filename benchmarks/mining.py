"""Mine the same problems with the plain reference and with the workflow's miner, in turn, and compare.

    python benchmarks/mining.py --pair testbed --problems 40 --json out.json
    python benchmarks/mining.py --configfile config/presets/gsm8k_local.yaml --dataset gsm8k \
        --pair qwen2.5_coder_0.5b_1.5b --problems 4 --plain-problems 1
    python benchmarks/mining.py --random qwen2.5_0.5b_7b --device cuda --dtype bfloat16 --problems 24 --plain-problems 2

The reference (tests/reference.py) runs one problem at a time with a key-value cache, prefills each alternative from the
start, reads every response anew with the draft, and runs both models again for the features, as the published code
does; `speedup_labels_only` leaves that last part out of its time. Each round mines a share of the plain problems with
the reference and then all problems with the miner. The roofline is the time that the tokens evaluated by the miner
(refused proposals included) would take at the speed of one large forward pass of the same model, without its head.

`identical` compares labels, tokens, answers and responses with the reference's. Its cache, too, moves logits in the
last bits: in float32 a problem that differs is mined by the reference once more without a cache, and that counts. The
problems concerned are listed under `different_problems`.

`--against float32` mines the problems once more in that type and counts the labels that differ; `--plot FILE` draws the
tokens evaluated for each problem against its mismatches. `--busy N` runs N processes beside both methods that do
nothing but count, as other jobs of a machine would.

`--random SHAPE` takes no models but makes some of that shape with random weights (benchmarks/random_pair.py tells what
is real about them). `--json` is written after every round.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from statistics import mean

import numpy as np
import torch
import yaml
from matplotlib.figure import Figure

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "tests")]


from random_pair import SHAPES, Task, make_pair, make_problems  # noqa: E402
from report import save_report, write_report  # noqa: E402

from autojudge.engine.cache import CachedModel  # noqa: E402
from autojudge.engine.memory import measure_peak, memory_budget  # noqa: E402
from autojudge.engine.models import load_pair  # noqa: E402
from autojudge.jobs.provenance import current_commit  # noqa: E402
from autojudge.mining.miner import NEAR_TIE, Miner  # noqa: E402
from autojudge.mining.problems import prepare_problems  # noqa: E402
from autojudge.scoring.scorer import Scorer  # noqa: E402
from autojudge.tasks import load_task  # noqa: E402
from reference import greedy_cached, mine_plainly, mined_result, plain_features  # noqa: E402

LARGE_FORWARD = (8, 128)  # rows and tokens of the pass that the roofline is measured on


def read_config(configfile):
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    if configfile:
        merge(config, yaml.safe_load(Path(configfile).read_text()))
    return config


def merge(config, other):
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            merge(config[key], value)
        else:
            config[key] = value


def complete(model, dtype, device=None):
    options = {"revision": None, "dtype": "float32", "device": "cpu", "device_map": None, "trust_remote_code": False}
    chosen = {"dtype": dtype, "device": device, "device_map": None if device else model.get("device_map")}
    return options | model | {key: value for key, value in chosen.items() if value or key == "device_map"}


def mine_reference(pair, task, problems, limit):
    """Results by problem, and a list of each one's seconds for all of it and for the labels without the features."""
    found, whole, labels_only = {}, [], []
    for problem in problems:
        prompt, features = list(problem["prompt_tokens"]), []
        start = time.perf_counter()
        result = mine_plainly(pair, task, prompt, limit, greedy_cached)
        labels_only.append(time.perf_counter() - start)
        response = list(result["target"])
        for t, _, token, important, _, tail in result["labels"]:
            features.append(plain_features(pair, prompt, response, t, token))
            response = response if important else response[:t] + list(tail)
        whole.append(time.perf_counter() - start)
        print(f"plain: {whole[-1]:.2f} s for {len(result['labels'])} mismatches", flush=True)
        found[problem["problem_id"]] = result
    return found, whole, labels_only


def mine_fast(pair, task, problems, limit, batch, memory):
    start = time.perf_counter()
    mined = list(Miner(pair, Scorer(task), limit, batch, memory).mine(problems))
    return mined, time.perf_counter() - start


@torch.inference_mode()
def large_forward_speed(model, repeats=3):
    """Tokens per second of a large forward pass, the best of a few."""
    tokens = torch.randint(5, model.config.vocab_size, LARGE_FORWARD, device=model.device)
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        model.base_model(tokens, use_cache=False).last_hidden_state[0, 0, 0].item()  # a GPU is waited for
        best = min(best, time.perf_counter() - start)
    return tokens.numel() / best


def time_forwards():
    """Add up the time of the miner's forward passes from here on."""
    spent, forward = [0.0], CachedModel.forward

    def timed(self, *args, **kwargs):
        start = time.perf_counter()
        result = forward(self, *args, **kwargs)
        spent[0] += time.perf_counter() - start
        return result

    CachedModel.forward = timed
    return spent


# Ends with its parent, which may be killed.
BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): sum(range(10**6))"


@contextmanager
def busy(count):
    """Keep so many cores busy meanwhile."""
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]))
            stack.callback(process.kill)
        yield


@dataclass
class Comparison:
    """Both methods on the same problems.

    Attributes
    ----------
    whole, labels_only : list of float
        Seconds of each problem of the reference, with and without its features.
    fast : list of float
        Seconds per problem of each round of the miner.
    forward_share : float
        Of the miner's time, in its forward passes.
    peak : dict of str to int
        Most bytes beside the weights, by method.
    found : dict
        The reference's results by problem.
    mined : list of Mined
        The miner's results of the last round.
    """

    whole: list = field(default_factory=list)
    labels_only: list = field(default_factory=list)
    fast: list = field(default_factory=list)
    forward_share: float = 0.0
    peak: dict = field(default_factory=lambda: {"plain": 0, "miner": 0})
    found: dict = field(default_factory=dict)
    mined: list = field(default_factory=list)


def compare(pair, task, problems, plain_problems, limit, batch, memory, rounds):
    """Run both methods in turn; yield what is known after each round."""
    run, forwards = Comparison(), time_forwards()
    for part in range(rounds):
        share = problems[:plain_problems][part::rounds]
        if share:
            with measure_peak(pair.target.device) as peak:
                results, whole, labels_only = mine_reference(pair, task, share, limit)
            run.found |= results
            run.whole += whole
            run.labels_only += labels_only
            run.peak["plain"] = max(run.peak["plain"], peak.bytes)
        with measure_peak(pair.target.device) as peak:
            run.mined, seconds = mine_fast(pair, task, problems, limit, batch, memory)
        run.fast.append(seconds / len(problems))
        run.peak["miner"] = max(run.peak["miner"], peak.bytes)
        plain = f"{mean(run.whole):.4f}" if run.whole else "not run"
        print(f"round {part + 1} of {rounds}: seconds per problem, plain {plain}, miner {run.fast[-1]:.4f}", flush=True)
        run.forward_share = forwards[0] / (sum(run.fast) * len(problems))
        yield run


def describe_speed(run, speed):
    """Return times, ratios and counts; `speed` has the tokens per second of each model's large forward."""
    tokens = {name: sum(m.response[f"{name}_evaluated"] for m in run.mined) for name in speed}
    best_case = sum(tokens[name] / speed[name] for name in speed) / len(run.mined)
    plain, fast = mean(run.whole) if run.whole else None, mean(run.fast)
    return {
        "speedup": plain / fast if plain else None,
        "speedup_labels_only": mean(run.labels_only) / fast if plain else None,
        "problems": len(run.mined),
        "plain_problems": len(run.found),
        "roofline": fast / best_case,
        "forward_share": run.forward_share,
        "seconds_per_problem": {"plain": plain, "miner": fast},
        "seconds_per_problem_by_round": run.fast,
        "seconds_of_plain_problems": run.whole,
        "problems_per_minute": {"plain": 60 / plain if plain else None, "miner": 60 / fast},
        "peak_mib_beside_weights": {name: value / 2**20 for name, value in run.peak.items()},
        "tokens_evaluated": tokens,
        "large_forward_tokens_per_second": speed,
        "response_tokens": sum(len(m.response["target_tokens"]) for m in run.mined),
        "mismatches": sum(len(m.labels) for m in run.mined),
        "mismatches_of_plain_problems": sum(len(result["labels"]) for result in run.found.values()),
        "important": sum(label["important"] for m in run.mined for label in m.labels),
        "near_ties": sum(label["near_tie"] for m in run.mined for label in m.labels),
        "cost_exponents": cost_exponents(run.mined),
    }


def describe_agreement(run, pair, task, problems, limit):
    """Return which problems differ from the reference, and in float32 which of them do without its cache too."""
    ours = {m.response["problem_id"]: mined_result(m) for m in run.mined}
    prompts = {problem["problem_id"]: list(problem["prompt_tokens"]) for problem in problems}
    different = [name for name, result in run.found.items() if ours[name] != result]
    uncached = None  # in 16 bits rounding of every kind moves choices, and mining without a cache takes hours
    if pair.target.dtype == torch.float32:
        uncached = [name for name in different if mine_plainly(pair, task, prompts[name], limit) != ours[name]]
    return {
        "identical": not (different if uncached is None else uncached) if run.found else None,
        "different_problems": different,
        "of_these_different_without_a_cache_too": uncached,
    }


def compare_labels(ours, others, near):
    """Count the labels on which two minings agree, each problem's up to the first difference: the rest follows from it.

    Differences: the response's tokens, where the next mismatch lies, whether it is important, the alternative's tokens
    with the same label. A near tie is one whose choices rest on a margin under `near` in either mining.
    """
    count = Counter(problems=len(ours))
    others = {m.response["problem_id"]: m for m in others}

    def differ(kind, *rows):
        count[f"{kind}_differs"] += 1
        count[f"{kind}_differs_at_a_near_tie"] += any(row["least_margin"] < near for row in rows if row)

    for m in ours:
        other = others[m.response["problem_id"]]
        if m.response["target_tokens"] != other.response["target_tokens"]:
            differ("response", m.response, other.response)
            continue
        for a, b in zip_longest(m.labels, other.labels):
            if not (a and b) or any(a[key] != b[key] for key in ("position", "target_token", "draft_token")):
                differ("mismatch", a, b)
                break
            count["labels_compared"] += 1
            if a["important"] != b["important"]:
                differ("label", a, b)
                break
            if a["alternative_tokens"] != b["alternative_tokens"]:
                differ("alternative", a, b)
                if not a["important"]:  # the response goes on differently
                    break
    return dict(count)


def cost_of_problems(mined):
    """Return mismatches, response lengths and tokens through the target, each (n,), of n problems with mismatches."""
    found = [m for m in mined if m.labels]
    lengths = np.array([len(m.response["target_tokens"]) for m in found])
    return np.array([len(m.labels) for m in found]), lengths, np.array([m.response["target_evaluated"] for m in found])


def cost_exponents(mined):
    """Return exponents of tokens ~ mismatches^a, and ~ mismatches^a length^b (1: linear); None where all are alike."""
    mismatches, lengths, tokens = (np.log(column) for column in cost_of_problems(mined))
    if len(set(mismatches)) < 2 or len(set(lengths)) < 2:
        return None
    constant = np.ones_like(tokens)
    alone = np.linalg.lstsq(np.stack([mismatches, constant], 1), tokens)[0]
    both = np.linalg.lstsq(np.stack([mismatches, lengths, constant], 1), tokens)[0]
    names = ("mismatches", "mismatches_at_equal_length", "length_at_equal_mismatches")
    return dict(zip(names, [float(alone[0]), float(both[0]), float(both[1])], strict=True))


def plot_cost(mined, path):
    mismatches, _, tokens = cost_of_problems(mined)
    figure = Figure(figsize=(5.5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(mismatches, tokens, "o", color="#0072B2", alpha=0.5, markersize=4, label="a problem")
    slope, start = np.polyfit(mismatches, tokens, 1)
    ends = np.array([0, mismatches.max()])
    axes.plot(ends, start + slope * ends, color="black", label=f"least squares: {start:.0f} + {slope:.0f} a mismatch")
    axes.set(xlabel="mismatches of the problem", ylabel="tokens put through the target", xlim=(0, None), ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", default="testbed", help="key of pairs in the config")
    parser.add_argument("--dataset", default="arith", help="key of datasets in the config")
    parser.add_argument("--configfile", help="config merged over config/config.yaml")
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument(
        "--plain-problems", type=int, help="of these, how many the slow reference mines too (default all)"
    )
    parser.add_argument("--max-new-tokens", type=int, help="default: the dataset's")
    parser.add_argument("--random", choices=SHAPES, help="models of random weights of this shape, for any pair")
    parser.add_argument("--device", help="cpu or cuda; default: the pair's")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="default: the pair's")
    parser.add_argument("--batch", type=int, help="default: the config's")
    parser.add_argument("--memory-mb", type=int, help="memory of the process in MB; default: the pair's mem_mb")
    parser.add_argument("--rounds", type=int, default=2, help="turns of both methods")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--busy", type=int, default=0, help="processes that keep cores busy beside both methods")
    parser.add_argument("--json", help="file to write the figures to")
    parser.add_argument("--against", choices=["float32", "bfloat16", "float16"], help="mine in this type too, compare")
    parser.add_argument("--plot", help="figure to write (.svg, .png or .pdf)")
    return parser.parse_args()


def load_problems(args, config, tokenizer):
    """Return task, problems and longest response."""
    dataset = {"source": None} | config["datasets"][args.dataset]
    dataset |= {"problems": {"train": args.problems, "validation": 1, "test": 1}}
    limit = dataset["max_new_tokens"] = args.max_new_tokens or dataset["max_new_tokens"]
    task = load_task(dataset["task"])
    rows = prepare_problems(task, dataset, tokenizer, 10**6, config["seed"])
    return task, [row for row in rows if row["split"] == "train"], limit


def load_work(args, config, dtype):
    """Return pair, task, problems and longest response, as the config or `--random` says."""
    if args.random:
        pair = make_pair(args.random, getattr(torch, dtype or "float32"), args.device or "cpu")
        return pair, Task(), make_problems(pair, args.problems), args.max_new_tokens or 96
    entry = config["pairs"][args.pair]
    pair = load_pair({role: complete(entry[role], dtype, args.device) for role in ("draft", "target")})
    return pair, *load_problems(args, config, pair.tokenizer)


def describe_device(model):
    """Return what a model computes on."""
    return torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else "cpu"


def main():
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    config = read_config(args.configfile)
    batch = args.batch or config["mining"]["batch"]
    pair, task, problems, limit = load_work(args, config, args.dtype)
    memory_mb = args.memory_mb or config["pairs"][args.pair].get("mem_mb", 4000)
    memory = memory_budget([pair.draft, pair.target], memory_mb)
    speed = {"target": large_forward_speed(pair.target), "draft": large_forward_speed(pair.draft)}
    plain_problems = args.problems if args.plain_problems is None else args.plain_problems
    settings = {key: getattr(args, key) for key in ("pair", "dataset", "random", "threads", "busy")} | {
        "max_new_tokens": limit,
        "batch": batch,
        "memory_budget_mib": memory / 2**20,
        "dtype": str(pair.target.dtype),
        "device": describe_device(pair.target),
        "commit": current_commit(),
    }
    with busy(args.busy):
        for run in compare(pair, task, problems, plain_problems, limit, batch, memory, args.rounds):
            save_report(describe_speed(run, speed) | settings, args.json)
    report = describe_speed(run, speed) | describe_agreement(run, pair, task, problems, limit)
    if args.against:
        other, *_ = load_work(args, config, args.against)
        others, _ = mine_fast(other, task, problems, limit, batch, memory)
        near = max(NEAR_TIE[model.dtype] for model in (pair.target, other.target))
        report["against"] = {"dtype": args.against} | compare_labels(run.mined, others, near)
    if args.plot:
        plot_cost(run.mined, args.plot)
    write_report(report | settings, args.json)


if __name__ == "__main__":
    main()
