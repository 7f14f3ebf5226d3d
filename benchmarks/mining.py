"""Mine the same problems with the plain reference and with the workflow's miner, in turn, and compare.

    python benchmarks/mining.py --pair testbed --problems 40 --json out.json
    python benchmarks/mining.py --configfile config/presets/gsm8k_local.yaml --dataset gsm8k \
        --pair qwen2.5_coder_0.5b_1.5b --problems 4 --plain-problems 1

The reference (tests/reference.py) runs one problem at a time with a key-value cache, prefills each alternative from the
start, and reads every response anew with the draft. The roofline is the time that the tokens evaluated by the miner
(refused proposals included) would take at the speed of one large forward pass of the same model.
"""

import argparse
import json
import sys
import threading
import time
from pathlib import Path

import torch
import yaml

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "tests")]

from autojudge.generation import CachedModel  # noqa: E402
from autojudge.mining import Miner  # noqa: E402
from autojudge.models import load_pair  # noqa: E402
from autojudge.problems import prepare_problems  # noqa: E402
from autojudge.provenance import current_commit  # noqa: E402
from autojudge.tasks import load_task  # noqa: E402
from reference import greedy_cached, mine_plainly, mined_result  # noqa: E402

LARGE_FORWARD = (8, 128)  # rows and tokens of the pass that the roofline is measured on


class PeakMemory:
    """The largest resident memory of this process while it runs, in MiB, sampled."""

    def __enter__(self):
        self.peak, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(0.02):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.peak = max(self.peak, pages * 4096 / 2**20)


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


def complete(model, dtype):
    options = {"revision": None, "dtype": "float32", "device": "cpu", "device_map": None, "trust_remote_code": False}
    return options | model | ({"dtype": dtype} if dtype else {})


def mine_reference(pair, task, problems, limit, _batch):
    prompts = {p["problem_id"]: list(p["prompt_tokens"]) for p in problems}
    return {name: mine_plainly(pair, task, prompt, limit, greedy_cached) for name, prompt in prompts.items()}, {}


def mine_fast(pair, task, problems, limit, batch):
    mined = list(Miner(pair, task, limit, min(batch, len(problems))).mine(problems))
    tokens = {name: sum(m.response[f"{name}_evaluated"] for m in mined) for name in ("target", "draft")}
    return {m.response["problem_id"]: mined_result(m) for m in mined}, tokens


@torch.inference_mode()
def large_forward_speed(model, repeats=3):
    """Tokens a second of a large forward pass, the best of a few."""
    tokens = torch.randint(5, model.config.vocab_size, LARGE_FORWARD)
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        model(tokens, use_cache=False, logits_to_keep=1)
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


def compare(pair, task, problems, plain_problems, limit, batch, rounds):
    """Run both methods on the same parts of the problems in turn; return totals of each."""
    totals = {name: {"seconds": 0.0, "problems": 0, "peak_mib": 0.0} for name in ("plain", "miner")}
    tokens, identical, differences = {"target": 0, "draft": 0}, True, []
    for part in range(rounds):
        ours, theirs = problems[part::rounds], problems[:plain_problems][part::rounds]
        found = {}
        for name, method, rows in (("plain", mine_reference, theirs), ("miner", mine_fast, ours)):
            if not rows:
                continue
            with PeakMemory() as memory:
                start = time.perf_counter()
                found[name], evaluated = method(pair, task, rows, limit, batch)
                totals[name]["seconds"] += time.perf_counter() - start
            totals[name]["problems"] += len(rows)
            totals[name]["peak_mib"] = max(totals[name]["peak_mib"], memory.peak)
            for model, count in evaluated.items():
                tokens[model] += count
        for problem_id, result in found.get("plain", {}).items():
            if found["miner"][problem_id] != result:
                identical = False
                differences.append(problem_id)
        done = {name: f"{t['problems']} in {t['seconds']:.1f} s" for name, t in totals.items()}
        print(f"round {part + 1} of {rounds}: plain {done['plain']}, miner {done['miner']}", flush=True)
    return totals, tokens, identical, differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", default="testbed", help="key of pairs in the config")
    parser.add_argument("--dataset", default="arith", help="key of datasets in the config")
    parser.add_argument("--configfile", help="config merged over config/config.yaml")
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument(
        "--plain-problems", type=int, help="of these, how many the slow reference mines too (default all)"
    )
    parser.add_argument("--max-new-tokens", type=int, help="default: the dataset's")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="default: the pair's")
    parser.add_argument("--batch", type=int, help="default: the config's")
    parser.add_argument("--rounds", type=int, default=2, help="turns that the problems are cut into")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="file to write the figures to")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    config = read_config(args.configfile)
    pair = load_pair({role: complete(config["pairs"][args.pair][role], args.dtype) for role in ("draft", "target")})
    dataset = {"source": None} | config["datasets"][args.dataset]
    dataset |= {"problems": {"train": args.problems, "validation": 1, "test": 1}}
    limit = dataset["max_new_tokens"] = args.max_new_tokens or dataset["max_new_tokens"]
    task = load_task(dataset["task"])
    rows = prepare_problems(task, dataset, pair.tokenizer, 10**6, config["seed"])
    problems = [row for row in rows if row["split"] == "train"]
    batch = args.batch or config["mining"]["batch"]

    speed = {name: large_forward_speed(model) for name, model in (("target", pair.target), ("draft", pair.draft))}
    spent = time_forwards()
    plain_problems = args.problems if args.plain_problems is None else args.plain_problems
    totals, tokens, identical, differences = compare(pair, task, problems, plain_problems, limit, batch, args.rounds)

    per_problem = {name: t["seconds"] / t["problems"] for name, t in totals.items() if t["problems"]}
    report = {
        "speedup": per_problem["plain"] / per_problem["miner"] if "plain" in per_problem else None,
        "identical": identical,
        "problems": args.problems,
        "roofline": totals["miner"]["seconds"] / sum(tokens[name] / speed[name] for name in speed),
        "forward_share": spent[0] / totals["miner"]["seconds"],
        "plain": totals["plain"],
        "miner": totals["miner"],
        "problems_per_minute": {name: 60 / seconds for name, seconds in per_problem.items()},
        "tokens_evaluated": tokens,
        "large_forward_tokens_per_second": speed,
        "different_problems": differences,
        "pair": args.pair,
        "dataset": args.dataset,
        "max_new_tokens": limit,
        "batch": batch,
        "threads": args.threads,
        "dtype": str(pair.target.dtype),
        "commit": current_commit(),
    }
    for key, value in report.items():
        print(f"{key:32} {value}")
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
