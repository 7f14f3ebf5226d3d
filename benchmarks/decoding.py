"""Time decoding: the target alone, transformers' assisted generation and our lossless decoding, in turn.

    python benchmarks/decoding.py --pair testbed --json out.json
    python benchmarks/decoding.py --configfile config/presets/gsm8k_local.yaml --dataset gsm8k \
        --pair qwen2.5_coder_0.5b_1.5b --problems 4 --max-new-tokens 100
    python benchmarks/decoding.py --random qwen2.5_0.5b_7b --device cuda --dtype bfloat16 --judge --minutes 2

Same prompts, same token limit, same window (but for `assisted generation, dynamic`, where the draft's confidence ends
it); each round runs every method once. Assisted generation takes one problem at a time; `batch16_vs_assisted` compares
problems per second, with that of fixed windows. `overhead` is the share of lossless decoding at batch 1
outside the models' forward passes. `--rule NAME:THRESHOLD` times further rules (not the judge: `measure_speed` does).
`--judge` times a judge of random weights at the threshold 0.5, which keeps about half of the mismatches: what a judge
costs, not what it is worth. `--random SHAPE` takes no models but makes some of that shape with random weights
(benchmarks/random_pair.py tells what is real about them); the share of tokens that are kept is made up then.
"""

import argparse
import math
from types import SimpleNamespace

import torch
from mining import describe_device, load_work, read_config
from random_pair import SHAPES
from report import write_report

from autojudge.decoding.assisted import assist
from autojudge.decoding.speed import ASSISTED, TARGET, Method, Setting, assisted_methods, run_method, time_methods
from autojudge.jobs.provenance import current_commit
from autojudge.judging.artifact import Judge
from autojudge.rules import load_rule


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", default="testbed", help="key of pairs in the config")
    parser.add_argument("--dataset", default="arith", help="key of datasets in the config")
    parser.add_argument("--configfile", help="config merged over config/config.yaml")
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--max-new-tokens", type=int, help="default: the dataset's")
    parser.add_argument("--random", choices=SHAPES, help="models of random weights of this shape, for any pair")
    parser.add_argument("--device", help="cpu or cuda; default: the pair's")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="default: the pair's")
    parser.add_argument("--window", type=int, help="default: the first of the config's")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rule", action="append", default=[], metavar="NAME:THRESHOLD")
    parser.add_argument("--judge", action="store_true", help="time a judge of random weights too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=math.inf, help="fewer problems and rounds where these are up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="file to write the figures to")
    return parser.parse_args()


def make_judge(pair):
    """Return a linear judge whose scores spread around 0.5."""
    sizes = [pair.hidden_sizes["draft"], pair.hidden_sizes["target"]]
    weight = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(0)) / sum(sizes) ** 0.5
    names = {"columns": ["draft_at_draft", "target_at_draft"], "classifier": "logistic_regression"}
    return Judge({"weight": weight, "bias": torch.tensor(0.0)}, SimpleNamespace(sizes=sizes, **names))


def main():
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    config = read_config(args.configfile)
    pair, _, problems, limit = load_work(args, config, args.dtype)
    prompts = [list(row["prompt_tokens"]) for row in problems]
    window = args.window or config["decoding"]["windows"][0]
    plain = Method("lossless", load_rule("lossless"), window=window)
    methods = [Method(TARGET), *assisted_methods(window), plain]
    for name, threshold in (rule.split(":") for rule in args.rule):
        methods.append(Method(name, load_rule(name, config["rules"].get(name)), float(threshold), window))
    if args.judge:
        methods.append(Method("judge", load_rule("judge"), 0.5, window))
    setting = Setting(pair, limit, make_judge(pair) if args.judge else None)
    rows = time_methods(setting, prompts, methods, args.batches, args.rounds, 60 * args.minutes)
    for row in rows:
        speeds = (row[f"tokens_per_second{end}"] for end in ("", "_low", "_high"))
        print(
            "{:28s} batch {:3d}  {:8.1f} tokens/s ({:.1f} to {:.1f})".format(row["method"], row["batch"], *speeds),
            end="",
        )
        print(f"  {100 * row['outside_forwards']:4.1f} % outside forwards, {row['tokens']} tokens", flush=True)
    found = {(row["method"], row["batch"]): row for row in rows}
    assisted, lossless = found.get((ASSISTED, 1)), found.get(("lossless", 1))
    ours = run_method(setting, prompts[:1], plain, 1).counts["tokens"]
    result = {
        "lossless_vs_assisted": assisted and lossless and lossless["tokens_per_second"] / assisted["tokens_per_second"],
        "overhead": lossless and lossless["outside_forwards"],
        "same_length_as_assisted": assisted and ours == len(assist(pair, prompts[0], window, limit)),
    }
    if assisted and ("lossless", 16) in found:
        ratio = found["lossless", 16]["problems_per_second"] / assisted["problems_per_second"]
        result["batch16_vs_assisted"] = ratio
    result |= {key: getattr(args, key) for key in ("pair", "random", "dataset")}
    result |= {
        "window": window,
        "max_new_tokens": limit,
        "problems": len(prompts),
        "threads": args.threads,
        "dtype": str(pair.target.dtype),
        "device": describe_device(pair.target),
        "rounds": args.rounds,
    }
    result |= {"commit": current_commit(), "rows": rows}
    write_report(result, args.json, hidden=["rows"])


if __name__ == "__main__":
    main()
