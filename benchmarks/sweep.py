"""Time a rule's whole threshold curve in one traversal against separate runs at 26 thresholds, and compare them.

    python benchmarks/sweep.py --pair testbed --json out.json

The thresholds lie between breakpoints of the curve, evenly spread over them. Both ways decode the same
problems with the same batch size, in turn. `curve_cost` is the seconds of the curve over those of the separate runs;
`identical` is true only if every problem's response and counts agree at every threshold.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from mining import complete, load_problems, read_config

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import EVERY, Points
from autojudge.engine.models import load_pair
from autojudge.jobs.provenance import current_commit
from autojudge.rules import load_rule

THRESHOLDS = 26
WIDE = 1e-4  # of a threshold; at a breakpoint itself the last bits of a score decide


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", default="testbed", help="key of pairs in the config")
    parser.add_argument("--dataset", default="arith", help="key of datasets in the config")
    parser.add_argument("--configfile", help="config merged over config/config.yaml")
    parser.add_argument("--rules", nargs="+", default=["kl_divergence"], help="one curve each (not the judge's)")
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, help="default: the dataset's")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="default: the pair's")
    parser.add_argument("--batch", type=int, help="default: the config's")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="file to write the figures to")
    return parser.parse_args()


def decode(decoder, prompts, rule, thresholds):
    """Return the responses of each prompt, and the seconds."""
    start = time.perf_counter()
    jobs = [Job(prompt, {rule: thresholds}, seed=i) for i, prompt in enumerate(prompts)]
    found = dict(decoder.decode(jobs))
    return [found[i] for i in range(len(prompts))], time.perf_counter() - start


def choose_thresholds(curves, rule):
    """Return 26 thresholds spread over the breakpoints, each in a gap that is wide against rounding."""
    ends = sorted({r.thresholds[rule].high for responses in curves for r in responses} - {float("inf")})
    gaps = [(a + b) / 2 for a, b in zip(ends, ends[1:], strict=False) if b - a > WIDE * max(abs(a), abs(b))]
    places = np.linspace(0, len(gaps) - 1, min(THRESHOLDS, len(gaps))).round().astype(int)
    return [gaps[place] for place in places]


def differences(curves, separate, rule, thresholds):
    """Return (problem, threshold) where the two ways differ in the response or a count."""
    different = []
    for i, responses in enumerate(curves):
        for t in thresholds:
            (ours,) = (r for r in responses if r.thresholds[rule].low < t <= r.thresholds[rule].high)
            (other,) = separate[t][i]
            if (ours.tokens, ours.counts(), ours.last_reads) != (other.tokens, other.counts(), other.last_reads):
                different.append((i, t))
    return different


def compare(decoder, prompts, rule, rounds):
    """Return the figures of one rule."""
    seconds = {"curve": [], "separate": []}
    for _ in range(rounds):
        curves, spent = decode(decoder, prompts, rule, EVERY)
        seconds["curve"].append(spent)
        thresholds = choose_thresholds(curves, rule)
        separate, total = {}, 0.0
        for t in thresholds:
            separate[t], spent = decode(decoder, prompts, rule, Points((t,)))
            total += spent
        seconds["separate"].append(total)
    different = differences(curves, separate, rule, thresholds)
    leaves = [len(responses) for responses in curves]
    return {
        "rule": rule.name,
        "curve_cost": sum(seconds["curve"]) / sum(seconds["separate"]),
        "identical": not different,
        "different": different[:20],
        "thresholds": len(thresholds),
        "seconds": seconds,
        "responses_per_problem": float(np.mean(leaves)),
        "most_responses": max(leaves),
        "distribution": dict(sorted(Counter(leaves).items())),
    }


def main():
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    config = read_config(args.configfile)
    pair = load_pair({role: complete(config["pairs"][args.pair][role], args.dtype) for role in ("draft", "target")})
    _, problems, limit = load_problems(args, config, pair.tokenizer)
    prompts = [list(row["prompt_tokens"]) for row in problems]
    batch = args.batch or config["decoding"]["batch"]
    decoder = Decoder(pair, None, config["decoding"]["window"], limit, batch)
    rules = [load_rule(name, config["rules"].get(name)) for name in args.rules]
    results = [compare(decoder, prompts, rule, args.rounds) for rule in rules]
    for result in results:
        print(", ".join(f"{key} {value}" for key, value in result.items() if key != "distribution"), flush=True)
    settings = {"pair": args.pair, "dataset": args.dataset, "problems": len(prompts), "batch": batch}
    settings |= {"threads": args.threads, "dtype": str(pair.target.dtype), "commit": current_commit()}
    summary = {
        "curve_cost": max(result["curve_cost"] for result in results),
        "identical": all(result["identical"] for result in results),
        **settings,
        "rules": results,
    }
    if args.json:
        Path(args.json).write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
