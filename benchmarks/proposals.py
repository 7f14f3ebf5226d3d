"""What proposals of another length would cost: the target's tokens and turns by the least probability, by mined labels.

    python benchmarks/proposals.py --folder resources/mbpp_cpu --problems 30

Each text that mining had the target write is written again from the tables, proposed by the problem's earlier texts as
mining does it, problem after problem; no model is loaded. Printed are the tokens evaluated for each token written, the
share of them that was refused, the tokens written in a turn, and what all of it costs where a turn costs as much as so
many tokens: the miner takes the least probability 1 / (1 + cost / 2).
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as parquet

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "workflow_scripts")]

from autojudge.mining.continuations import Continuations, Foresight  # noqa: E402

LEAST = (0.3, 0.45, 0.6, 0.7, 0.8, 0.9)
COSTS = (0.35, 0.7, 1.35, 3, 23)


def write(text, known, followed, earlier, foresight, least):
    """Write a text of which some tokens are known; return turns and tokens evaluated."""
    written = list(text[:known])
    continuations = Continuations([followed, *earlier[::-1]], written, known)
    turns = evaluated = 0
    while len(written) < len(text):
        matched = continuations.matched
        wanted = min(foresight.length(matched, least), len(text) - len(written))
        proposed, before = continuations.tokens(wanted), len(written)
        turns, evaluated = turns + 1, evaluated + 1 + len(proposed)
        for token in proposed:
            if token != text[len(written)]:
                break
            written.append(token)
        written += text[len(written) : len(written) + 1]
        foresight.learn(matched, continuations.advance(written, len(written) - before))
    return turns, evaluated


def texts_of(response, labels):
    """Yield each text that the target wrote: it, how much was known, the text followed and the earlier ones."""
    draft, mined = response["draft_tokens"], response["target_tokens"]
    earlier = [draft]
    yield mined, 1, draft, []
    for label in sorted(labels, key=lambda label: label["position"]):
        alternative = mined[: label["position"]] + label["alternative_tokens"]
        yield alternative, label["position"] + 1, mined, list(earlier)
        earlier.append(alternative if label["important"] else mined)
        mined = mined if label["important"] else alternative


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "resources/mbpp_cpu", help="with labels and responses")
    parser.add_argument("--problems", type=int, default=30)
    args = parser.parse_args()
    labels = defaultdict(list)
    columns = ["problem_id", "position", "important", "alternative_tokens"]
    for label in parquet.read_table(args.folder / "labels.parquet", columns=columns).to_pylist():
        labels[label["problem_id"]].append(label)
    columns = ["problem_id", "target_tokens", "draft_tokens"]
    responses = parquet.read_table(args.folder / "responses.parquet", columns=columns).to_pylist()
    responses = [row for row in responses if row["problem_id"] in labels]
    chosen = responses[:: max(1, len(responses) // args.problems)][: args.problems]
    texts = [text for row in chosen for text in texts_of(row, labels[row["problem_id"]])]
    tokens = sum(len(text) - known for text, known, _, _ in texts)
    print(f"{len(chosen)} problems, {len(texts)} texts, {tokens} tokens")
    print("least  evaluated  refused  a turn  " + "  ".join(f"cost at {cost:<5}" for cost in COSTS))
    for least in LEAST:
        foresight = Foresight()
        counts = [write(*text, foresight, least) for text in texts]
        turns, evaluated = (sum(column) for column in zip(*counts, strict=True))
        cost = "  ".join(f"{(evaluated + cost * turns) / tokens:<13.3f}" for cost in COSTS)
        told = f"{evaluated / tokens:9.3f}  {1 - tokens / evaluated:7.1%}  {tokens / turns:6.2f}"
        print(f"{least:5}  {told}  {cost}", flush=True)


if __name__ == "__main__":
    main()
