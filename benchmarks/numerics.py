"""Does lossless decoding equal the target alone, token for token? With `numerics: invariant`, and with the default.

    python benchmarks/numerics.py --json out.json
    python benchmarks/numerics.py --configfile my_pair.yaml --dataset mbpp --pair qwen2.5_coder_0.5b_1.5b \
        --dtype bfloat16 --problems 40 --max-new-tokens 100 --windows 8 16 --json out.json

The target alone decodes all problems side by side, lossless decoding `--batch` of them at a time. The file is written
after every few problems and holds the tokens, so that a run that is killed leaves what it had; with the same file it
goes on there.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "benchmarks")]

from mining import complete, load_problems, read_config  # noqa: E402

from autojudge.decoding.branches import Job  # noqa: E402
from autojudge.decoding.decoder import Decoder  # noqa: E402
from autojudge.decoding.thresholds import Points  # noqa: E402
from autojudge.engine.numerics import open_pair  # noqa: E402
from autojudge.jobs.provenance import current_commit  # noqa: E402
from autojudge.rules import load_rule  # noqa: E402
from autojudge.tasks import prompt_of  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", default="testbed", help="key of pairs in the config")
    parser.add_argument("--dataset", default="arith", help="key of datasets in the config")
    parser.add_argument("--configfile", help="config merged over config/config.yaml")
    parser.add_argument("--numerics", nargs="+", default=["invariant", "default"], choices=["invariant", "default"])
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="bfloat16")
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument("--max-new-tokens", type=int, help="default: the dataset's")
    parser.add_argument("--windows", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--batch", type=int, default=8, help="of lossless decoding")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", required=True, help="file to write, and to go on from")
    return parser.parse_args()


def decode(pair, prompts, window, limit, stop):
    """Responses of prompts side by side: of the target alone (window 0), or by lossless decoding."""
    thresholds = {load_rule("lossless"): Points((0.0,))} if window else {}
    decoder = Decoder(pair, None, window, limit, len(prompts), stop)
    found = dict(decoder.decode([Job(prompt, thresholds) for prompt in prompts]))
    return [found[number][0].tokens for number in range(len(prompts))]


def run(pair, prompts, window, part, limit, stop, entry, save):
    """Decode what an entry of the report has not yet, `part` prompts at a time."""
    while (done := len(entry["tokens"])) < len(prompts):
        start = time.perf_counter()
        entry["tokens"] += decode(pair, prompts[done : done + part], window, limit, stop)
        entry["seconds"] += time.perf_counter() - start
        save()


def compare(numerics, ways, name):
    """Count how many responses of a way to decode are not those of the target alone, with the same numbers."""
    alone, way = ways["target alone"]["tokens"], ways[name]
    pairs = list(zip(way["tokens"], alone, strict=True))
    way["problems"], way["different"] = len(pairs), sum(ours != target for ours, target in pairs)
    print(f"{numerics:10} {name:20} {way['different']} of {len(pairs)} differ, {way['seconds']:.0f} s", flush=True)


def main():
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    config, path = read_config(args.configfile), Path(args.json)
    entry = config["pairs"][args.pair]
    asked = {key: value for key, value in vars(args).items() if key not in ("json", "numerics")}
    report = json.loads(path.read_text()) if path.exists() else {"asked": asked, "commit": current_commit(), "ways": {}}
    if report["asked"] != asked:
        raise SystemExit(f"{path} is of other arguments ({report['asked']}); name another file")

    def save():
        path.write_text(json.dumps(report, indent=1) + "\n")

    for numerics in args.numerics:
        roles = {role: complete(entry[role], args.dtype) for role in ("draft", "target")}
        start = time.perf_counter()
        pair = open_pair({**roles, "numerics": numerics})
        print(f"{numerics}: loaded in {time.perf_counter() - start:.0f} s", flush=True)
        task, problems, limit = load_problems(args, config, pair.tokenizer)
        prompts = [list(problem["prompt_tokens"]) for problem in problems]
        ways = report["ways"].setdefault(numerics, {})
        for window in (0, *args.windows):
            name = f"lossless, window {window}" if window else "target alone"
            way = ways.setdefault(name, {"tokens": [], "seconds": 0.0})
            run(pair, prompts, window, args.batch if window else len(prompts), limit, prompt_of(task).stop, way, save)
            compare(numerics, ways, name)
            save()
        del pair


if __name__ == "__main__":
    main()
