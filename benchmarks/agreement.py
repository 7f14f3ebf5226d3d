"""Tell from exactly mined labels what stopping alternatives would have done: how many, how many wrongly, at what cost.

    python benchmarks/agreement.py --folder results/arith/testbed --splits train
    python benchmarks/agreement.py --folder results/gsm8k/my_pair --pair my_pair --configfile my_pair.yaml --splits test

For each setting of `mining.agreement` (the tokens that have to agree, and those that are enough where the swap has
changed no number before them): the share of alternatives that it stops, of these the important ones, the share of the
important ones that are lost, the problems that have to be mined again if each lost one shows in the answer, and tokens
of the target against exact mining: these problems' included, none for prompts, refused proposals and an audit.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "benchmarks")]

from mining import complete, read_config  # noqa: E402

from autojudge.engine.models import load_tokenizer  # noqa: E402
from autojudge.mining.agreement import Agreement, Alignment  # noqa: E402
from autojudge.tables.files import read_table, records  # noqa: E402
from autojudge.tables.mining import LABELS, RESPONSES  # noqa: E402

SETTINGS = [(n, n) for n in (8, 12, 15, 16, 20)] + [(16, same) for same in (6, 8, 10, 12)]
OF_LABELS = ["problem_id", "position", "important", "cut_off", "alternative_tokens"]


class Swap(NamedTuple):
    """A mismatch: its place, its label, the alternative's length from there on, and what it has of it when stopped."""

    position: int
    important: bool
    whole: int
    kept: int | None


def list_swaps(response, labels, agreement, decode):
    """Return the swaps of a problem, exactly mined, and the length of its mined response."""
    text, swaps = list(response["target_tokens"]), []
    for label in labels:
        t, tail = label["position"], list(label["alternative_tokens"])
        whole, kept = text[:t] + tail, None
        if not label["cut_off"]:
            alternative = whole[: t + 1]
            alignment = Alignment(text, alternative, len(text) + len(whole), agreement, decode)
            alternative += tail[1:]
            if alignment.follow(len(whole) - 1) is not None:
                kept = alignment.seen - t
        swaps.append(Swap(t, label["important"], len(tail), kept))
        text = text if label["important"] else whole
    return swaps, len(text)


def count_tokens(length, mined_length, swaps):
    """Return the tokens that exact mining and mining with agreement need, and whether a label of a problem is wrong."""
    exact = length + sum(swap.whole for swap in swaps)
    known, cost = length, length
    for swap in swaps:
        needed = max(known, swap.position + 2)
        cost += needed - known + (swap.kept or swap.whole)
        known = needed if swap.important else swap.position + (swap.kept or swap.whole)
    wrong = any(swap.important and swap.kept for swap in swaps)
    return exact, cost + max(0, mined_length - known) + exact * wrong, wrong


def evaluate(problems, agreement, decode):
    """Return a setting's figures."""
    found = [(response, *list_swaps(response, labels, agreement, decode)) for response, labels in problems]
    swaps = [swap for _, of_problem, _ in found for swap in of_problem]
    costs = [count_tokens(len(response["target_tokens"]), mined, of_problem) for response, of_problem, mined in found]
    stopped = [swap for swap in swaps if swap.kept]
    lost = sum(swap.important for swap in stopped)
    return {
        "tokens": agreement.tokens,
        "same_numbers": agreement.same_numbers,
        "stopped, %": 100 * len(stopped) / len(swaps),
        "of these wrong": lost,
        "wrong, %": 100 * lost / max(1, len(stopped)),
        "important lost, %": 100 * lost / max(1, sum(swap.important for swap in swaps)),
        "mined again, %": 100 * sum(wrong for _, _, wrong in costs) / len(costs),
        "tokens against exact": sum(cost for _, cost, _ in costs) / sum(exact for exact, _, _ in costs),
    }


def read_problems(folder, splits):
    """Return each problem's response and labels, in order, of some splits."""
    labels = read_table(LABELS, folder / "labels.parquet", OF_LABELS)
    columns = ["problem_id", "split", "target_tokens"]
    responses = records(read_table(RESPONSES, folder / "responses.parquet", columns))
    grouped = {name: records(rows.sort_values("position")) for name, rows in labels.groupby("problem_id")}
    return [(row, grouped.get(row["problem_id"], [])) for row in responses if row["split"] in splits]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "results/arith/testbed", help="of a dataset and pair")
    parser.add_argument("--pair", default="testbed", help="key of pairs in the config, for its tokenizer")
    parser.add_argument("--configfile", help="config merged over config/config.yaml")
    parser.add_argument("--splits", nargs="+", default=["train", "validation", "test"])
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args()
    entry = read_config(args.configfile)["pairs"][args.pair]
    tokenizer = load_tokenizer({role: complete(entry[role], None) for role in ("draft", "target")})
    problems = read_problems(args.folder, args.splits)
    rows = [evaluate(problems, Agreement(n, same, 0, 0), tokenizer.decode) for n, same in SETTINGS]
    print(f"{len(problems)} problems, {sum(len(labels) for _, labels in problems)} mismatches")
    print(tabulate(rows, "keys", "github", floatfmt=".2f"))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
