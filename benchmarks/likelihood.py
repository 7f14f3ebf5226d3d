"""Tell how labels by likelihood agree with labels by answers of the same swaps, by threshold.

    python benchmarks/likelihood.py --json figures.json

Both label every mismatch of the target's own response: by answers, each alternative is continued to its end, and the
text stays what it is, so that the swaps are the same. The threshold that agrees best (Cohen's kappa) is chosen on the
training problems, for each number of tokens and for the sum and the mean over them, and measured on the others.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from tabulate import tabulate

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "workflow_scripts"), str(ROOT / "benchmarks")]

from mining import complete, read_config  # noqa: E402

from autojudge.engine.models import load_pair  # noqa: E402
from autojudge.mining.likelihood import LikelihoodMiner  # noqa: E402
from autojudge.mining.miner import Miner  # noqa: E402
from autojudge.mining.problems import prepare_problems  # noqa: E402
from autojudge.scoring.scorer import Scorer  # noqa: E402
from autojudge.tasks import load_task  # noqa: E402

TOKENS = (5, 10, 20, 40)
THRESHOLDS = np.round(np.concatenate([np.arange(0, 2, 0.1), np.arange(2, 40, 0.5)]), 2)
KEY = ["problem_id", "position"]


class AnswerMiner(Miner):
    """Labels each mismatch of the target's own response by answers."""

    def _close_swap(self, row, swap, important):  # noqa: ARG002
        super()._close_swap(row, swap, important=True)
        if row.swap is None:
            self._find_mismatch(row)


def mine(miner, problems, seconds):
    """Return labels, and what they cost."""
    start, mined = time.monotonic(), list(miner.mine(problems))
    labels = pd.DataFrame([label for m in mined for label in m.labels])
    tokens = sum(m.response["target_evaluated"] for m in mined)
    seconds.append({"labels": len(labels), "target tokens": tokens, "seconds": time.monotonic() - start})
    return labels


def kappas(important, change):
    """Return kappa at each threshold."""
    return [cohen_kappa_score(important, change < -threshold) for threshold in THRESHOLDS]


def evaluate(joined, tokens, mean):
    """Return the figures of one number of tokens, chosen on train."""
    followed = joined["alternative_tokens_likelihood"].map(len) - 1
    change = joined["likelihood_change"] / (followed if mean else 1)
    split = {name: joined["split"] == name for name in ("train", "validation", "test")}
    on_train = kappas(joined["important"][split["train"]], change[split["train"]])
    threshold = THRESHOLDS[int(np.argmax(on_train))]
    row = {"tokens": tokens, "by": "mean" if mean else "sum", "threshold": threshold}
    for name, inside in split.items():
        truth, said = joined["important"][inside], change[inside] < -threshold
        row |= {f"kappa, {name}": cohen_kappa_score(truth, said), f"AUC, {name}": roc_auc_score(truth, -change[inside])}
    return row | {"important, test, %": 100 * said.mean(), "by answers, %": 100 * truth.mean()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, nargs=3, default=[80, 40, 80], help="train, validation and test")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = read_config(None)
    entry, dataset, task = config["pairs"]["testbed"], config["datasets"]["arith"], load_task("arith")
    pair = load_pair({role: complete(entry[role], None) for role in ("draft", "target")})
    counts = dict(zip(("train", "validation", "test"), args.problems, strict=True))
    dataset = dataset | {"source": None, "problems": counts}
    problems = prepare_problems(task, dataset, pair.tokenizer, 512, config["seed"])
    costs, rows = [], []
    exact = mine(AnswerMiner(pair, Scorer(task), dataset["max_new_tokens"], args.batch), problems, costs)
    for tokens in TOKENS:
        miner = LikelihoodMiner(pair, Scorer(task), dataset["max_new_tokens"], args.batch)
        miner.tokens = tokens
        labels = mine(miner, problems, costs)[[*KEY, "likelihood_change", "alternative_tokens"]]
        joined = exact.merge(labels, on=KEY, suffixes=("", "_likelihood"))
        rows += [evaluate(joined, tokens, mean) for mean in (False, True)]
    print(tabulate(rows, "keys", "github", floatfmt=".2f"))
    print(tabulate(costs, "keys", "github", showindex=["by answers", *TOKENS], floatfmt=".1f"))
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "costs": costs}, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
