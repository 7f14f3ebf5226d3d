"""Every table of the workflow: its columns, their types and meaning, and how it is written and read."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from autojudge.errors import InputError
from autojudge.tables.feature_names import BLOCKS, SCALARS

TOKENS = pa.list_(pa.int32())
HIDDEN = pa.list_(pa.float16())  # one width a file: the hidden size of the model

GATHER_ROWS = 8192  # rows that are gathered before they are written

Columns = dict[str, tuple[pa.DataType, str]]

KEY: Columns = {
    "problem_id": (pa.string(), "name of the problem, a hash of its text"),
    "position": (pa.int32(), "token position in the response; 0 is the first generated token"),
}
POINT: Columns = {
    "feature_set": (pa.string(), "key of judge.feature_sets"),
    "classifier": (pa.string(), "key of judge.classifiers"),
    "hyperparameter": (pa.string(), "name of the hyperparameter"),
    "value": (pa.float64(), "its value"),
}
COUNTS: Columns = {
    "tokens": (pa.int32(), "length of the response, the end token included"),
    "cycles": (pa.int32(), "draft windows verified"),
    "accepted": (pa.int32(), "accepted draft tokens and corrections; no bonus token (the paper's count)"),
    "emitted": (pa.int32(), "tokens the cycles added, the bonus token of a full window included (engines' count)"),
    "target_calls": (pa.int32(), "forward passes of the target, the prompt's included"),
    "draft_calls": (pa.int32(), "forward passes of the draft, the prompt's included"),
}


def _with_interval(name: str, meaning: str) -> Columns:
    """Return a column and the ends of its interval."""
    return {
        name: (pa.float64(), meaning),
        f"{name}_low": (pa.float64(), "its 95 % interval, problems being resampled, lower end"),
        f"{name}_high": (pa.float64(), "upper end"),
    }


TABLES: dict[str, tuple[str, Columns]] = {
    "problems": (
        "One row a problem.",
        {
            "problem_id": KEY["problem_id"],
            "question": (pa.string(), "the problem's text"),
            "gold": (pa.string(), "the dataset's answer"),
            "prompt_tokens": (TOKENS, "the prompt, chat template applied"),
            "split": (pa.string(), "train, validation or test, by a hash of the problem"),
        },
    ),
    "responses": (
        "One row a mined problem.",
        {
            "problem_id": KEY["problem_id"],
            "split": (pa.string(), "train, validation, or test where a swept rule reads labels"),
            "target_tokens": (TOKENS, "target's greedy response"),
            "draft_tokens": (TOKENS, "draft's own greedy response"),
            "mined_tokens": (TOKENS, "response after all unimportant swaps"),
            "target_answer": (pa.string(), "answer of the target's response; null: none found, so no labels"),
            "draft_answer": (pa.string(), "answer of the draft's response"),
            "mined_answer": (pa.string(), "answer of the mined response"),
            "correct": (pa.bool_(), "the target's answer is the gold answer"),
            "cut_off": (pa.bool_(), "the target's response ends at the token limit, so that its answer is noise"),
            "least_margin": (pa.float32(), "least distance of best and second best logit in the target's response"),
            "seconds": (pa.float64(), "wall-clock from the problem's start to its end; problems overlap in a batch"),
            "target_evaluated": (pa.int64(), "tokens put through the target"),
            "draft_evaluated": (pa.int64(), "tokens put through the draft"),
        },
    ),
    "labels": (
        "One row a mismatch.",
        {
            **KEY,
            "split": (pa.string(), "train, validation, or test where a swept rule reads labels"),
            "target_token": (pa.int32(), "token of the response"),
            "draft_token": (pa.int32(), "the draft's greedy token"),
            "important": (pa.bool_(), "the swap changed the final answer"),
            "alternative_answer": (pa.string(), "answer after the swap; null: none found, hence important"),
            "margin": (pa.float32(), "target's best logit minus its second best; near 0 is a near tie"),
            "least_margin": (
                pa.float32(),
                "least distance of best and second best logit among the choices that the label rests on: the draft's "
                "at `position` and the target's in the alternative",
            ),
            "cut_off": (
                pa.bool_(),
                "the target's response or this alternative ends at the token limit, so that the label is noise "
                "(config: judge.exclude_cut_off)",
            ),
            "near_tie": (
                pa.bool_(),
                "`least_margin` is below the tolerance of the target's dtype: 1e-4 logits in "
                "float32, 0.016 in float16, 0.125 in bfloat16",
            ),
            "alternative_tokens": (TOKENS, "the alternative from `position` on"),
        },
    ),
    "features": (
        "One row a mismatch, keyed like labels: hidden states after the final norm and scalars known at verification.",
        {
            **KEY,
            **{name: (HIDDEN, meaning) for name, meaning in BLOCKS.items()},
            **{name: (pa.float32(), meaning) for name, meaning in SCALARS.items()},
        },
    ),
    "grid": (
        "One row a grid point and fold: results/{dataset}/{pair}/grid.parquet.",
        {
            **POINT,
            "fold": (
                pa.string(),
                "`validation`: fitted on train, measured on validation; `i-of-n`: train and validation problems "
                "together, measured on the i-th part and fitted on the others",
            ),
            "auc": (pa.float64(), "area under the ROC curve for the label important, on the fold"),
            "average_precision": (pa.float64(), "area under the precision-recall curve, on the fold"),
            "accepted_at_90": (
                pa.float64(),
                "share of unimportant mismatches accepted where 90 % of important ones are refused",
            ),
            "accepted_at_95": (pa.float64(), "the same for 95 %"),
            "auc_train": (pa.float64(), "area under the ROC curve on the rows of the fit"),
            "n_train": (pa.int64(), "mismatches of the fit"),
            "n_fold": (pa.int64(), "mismatches of the fold"),
            "features_read": (pa.int64(), "numbers that the judge reads of a mismatch: what it costs to serve"),
            "seconds": (pa.float64(), "time of the fit"),
        },
    ),
    "scores": (
        "One row a grid point and mismatch that it was not fitted on: results/{dataset}/{pair}/scores.parquet.",
        {
            **POINT,
            "fold": (pa.string(), "as in `grid`; mismatches of the test split are scored by the fit of `validation`"),
            "split": (pa.string(), "train, validation or test"),
            **KEY,
            "important": (pa.bool_(), "the label"),
            "score": (pa.float32(), "p(important) before calibration"),
        },
    ),
    "judges": (
        "One row a candidate judge at its best value, and one a training-free rule: judges.csv.",
        {
            **POINT,
            "selected": (pa.bool_(), "the judge of judge/"),
            "features_read": (pa.int64(), "numbers that it reads of a mismatch"),
            "auc_validation": (pa.float64(), "area under the ROC curve on validation"),
            "accepted_validation": (
                pa.float64(),
                "acceptance on validation at the configured recall, by which it was chosen",
            ),
            "split": (
                pa.string(),
                "what the following columns are measured on: test, or validation where no test is mined",
            ),
            **_with_interval("auc_folds", "area under the ROC curve across folds of train and validation"),
            **_with_interval("auc", "area under the ROC curve"),
            **_with_interval("average_precision", "area under the precision-recall curve"),
            **_with_interval(
                "accepted_at_90", "unimportant mismatches accepted where 90 % of important ones are refused"
            ),
            **_with_interval("accepted_at_95", "the same for 95 %"),
            **_with_interval("gain", "accepted_at_90 minus that of KL divergence alone, paired"),
        },
    ),
    "learning_curve": (
        "One row a judge, number of training problems and draw: learning_curve.csv.",
        {
            **POINT,
            "problems": (pa.int64(), "training problems of the fit"),
            "mismatches": (pa.int64(), "their mismatches"),
            "draw": (pa.int64(), "number of the random draw"),
            "auc": (pa.float64(), "area under the ROC curve on validation"),
            "average_precision": (pa.float64(), "area under the precision-recall curve on validation"),
            "accepted_at_90": (
                pa.float64(),
                "unimportant mismatches accepted where 90 % of important ones are refused",
            ),
            "accepted_at_95": (pa.float64(), "the same for 95 %"),
        },
    ),
    "transfer": (
        "One row a judge's dataset and a dataset it is measured on: results/{pair}_transfer.csv.",
        {
            "trained_on": (pa.string(), "dataset of the judge"),
            "tested_on": (pa.string(), "dataset of the mismatches"),
            "split": (pa.string(), "test, or validation where a dataset has no mined test problems"),
            "mismatches": (pa.int64(), "their number"),
            **_with_interval("auc", "area under the ROC curve"),
            **_with_interval("average_precision", "area under the precision-recall curve"),
            **_with_interval(
                "accepted_at_90", "unimportant mismatches accepted where 90 % of important ones are refused"
            ),
            **_with_interval("accepted_at_95", "the same for 95 %"),
        },
    ),
    "sweep": (
        "One row a problem of validation or test, rule, and interval of thresholds with one response.",
        {
            "problem_id": KEY["problem_id"],
            "split": (pa.string(), "validation or test"),
            "rule": (pa.string(), "acceptance rule; `target` is the target alone"),
            "threshold_low": (pa.float64(), "the response holds for thresholds above this one"),
            "threshold": (
                pa.float64(),
                "and up to this one, inf being all; a mismatch is kept when its score lies below the threshold",
            ),
            "exact": (
                pa.bool_(),
                "false: the problem has too many branches (decoding.branches), so the response was decoded at "
                "`threshold` and stands for those below it, down to the next given one",
            ),
            "window": (pa.int32(), "tokens the draft proposes a cycle"),
            "correct": (pa.bool_(), "the answer is the gold answer"),
            "answer": (pa.string(), "answer of the response; null: none found"),
            "cut_off": (pa.bool_(), "the response ends at the token limit"),
            **COUNTS,
            "response": (TOKENS, "the response"),
        },
    ),
    "curve": (
        "One row a pair, split, rule and breakpoint: the exact curve, results/{dataset}_curve.parquet.",
        {
            "pair": (pa.string(), "key of pairs"),
            "split": (pa.string(), "validation or test"),
            "rule": (pa.string(), "acceptance rule"),
            "window": (pa.int32(), "tokens the draft proposes a cycle"),
            "threshold": (pa.float64(), "the row holds from the rule's breakpoint before this one up to this one"),
            "accuracy": (pa.float64(), "share of correct answers"),
            "accepted_per_cycle": (pa.float64(), "accepted tokens over cycles (the paper's count)"),
            "emitted_per_cycle": (pa.float64(), "emitted tokens over cycles (engines' count)"),
            "target_calls_per_token": (pa.float64(), "target forward passes over tokens"),
            "draft_calls_per_token": (pa.float64(), "draft forward passes over tokens"),
        },
    ),
    "summary": (
        "One row a pair and rule at its recommended threshold: results/{dataset}_summary.csv, .md and .tex.",
        {
            "pair": (pa.string(), "key of pairs"),
            "rule": (pa.string(), "acceptance rule; `target` is the target alone"),
            "kind": (pa.string(), "reference, training-free, judge or oracle"),
            "best": (pa.bool_(), "of the training-free rules the one with the largest area on validation"),
            "threshold": (pa.float64(), "the recommended one, chosen on validation"),
            "problems": (pa.int64(), "test problems"),
            "accuracy": (pa.float64(), "share of correct answers"),
            "accuracy_low": (pa.float64(), "its Wilson 95 % interval, lower end"),
            "accuracy_high": (pa.float64(), "upper end"),
            "drop": (pa.float64(), "percentage points lost against lossless on the same problems"),
            "drop_low": (pa.float64(), "its paired bootstrap 95 % interval, lower end"),
            "drop_high": (pa.float64(), "upper end"),
            "mcnemar_p": (pa.float64(), "p-value of McNemar's exact test of the same difference"),
            "accepted_per_cycle": (pa.float64(), "accepted tokens over cycles (the paper's count)"),
            "emitted_per_cycle": (pa.float64(), "emitted tokens over cycles (engines' count)"),
            "target_calls_per_token": (pa.float64(), "target forward passes over tokens"),
            "draft_calls_per_token": (pa.float64(), "draft forward passes over tokens"),
            "area": (
                pa.float64(),
                "mean of the best accuracy at or above a speed, over the speeds from lossless to the draft alone; none "
                "for references",
            ),
            "area_validation": (pa.float64(), "the same on validation"),
        },
    ),
    "speed": (
        "One row a method, window and batch: results/{dataset}/{pair}/speed.csv. Wall-clock on the machine of the run.",
        {
            "method": (pa.string(), "target (alone), assisted generation (of transformers), or an acceptance rule"),
            "threshold": (pa.float64(), "the rule's recommended one"),
            "window": (pa.int32(), "tokens the draft proposes a cycle; 0 for the target alone"),
            "batch": (pa.int32(), "responses side by side"),
            "problems": (pa.int64(), "test problems, the same for every row"),
            "tokens": (pa.int64(), "tokens of all responses"),
            "tokens_per_second": (pa.float64(), "median over the rounds"),
            "tokens_per_second_low": (pa.float64(), "slowest round"),
            "tokens_per_second_high": (pa.float64(), "fastest round"),
            "problems_per_second": (pa.float64(), "median over the rounds"),
            "outside_forwards": (pa.float64(), "share of the time outside the models' forward passes, median"),
            "target_calls_per_token": (pa.float64(), "target forward passes of a response over its tokens"),
            "draft_calls_per_token": (pa.float64(), "draft forward passes of a response over its tokens"),
            "call_cost_ratio": (pa.float64(), "time of a draft call over a target call here, one token at batch 1"),
        },
    ),
    "pareto": (
        "One row a pair, rule and threshold: results/{dataset}_pareto.csv.",
        {
            "pair": (pa.string(), "key of pairs"),
            "rule": (pa.string(), "acceptance rule; `target` is the target alone"),
            "threshold": (pa.float64(), "the rule's knob"),
            "window": (pa.int32(), "tokens the draft proposes a cycle"),
            "problems": (pa.int64(), "test problems"),
            "accuracy": (pa.float64(), "share of correct answers"),
            "accuracy_low": (pa.float64(), "its Wilson 95 % interval, lower end"),
            "accuracy_high": (pa.float64(), "upper end"),
            "drop": (pa.float64(), "percentage points lost against lossless on the same problems"),
            "drop_low": (pa.float64(), "its paired bootstrap 95 % interval, lower end"),
            "drop_high": (pa.float64(), "upper end"),
            "mcnemar_p": (pa.float64(), "p-value of McNemar's exact test of the same difference"),
            "accepted_per_cycle": (pa.float64(), "accepted tokens over cycles (the paper's count)"),
            "emitted_per_cycle": (pa.float64(), "emitted tokens over cycles (engines' count)"),
            "target_calls_per_token": (pa.float64(), "target forward passes over tokens"),
            "draft_calls_per_token": (pa.float64(), "draft forward passes over tokens"),
            "inexact": (pa.int64(), "problems decoded at given thresholds only (sweep: `exact`)"),
            "recommended": (
                pa.bool_(),
                "the fastest threshold whose drop stays within decoding.tolerance on validation",
            ),
        },
    ),
}


def arrow_schema(table: str) -> pa.Schema:
    """Return the Arrow schema of a table."""
    return pa.schema([(name, dtype) for name, (dtype, _) in TABLES[table][1].items()])


def write_table(table: str, rows: Iterable[Mapping[str, Any]] | pa.Table, path: str | Path) -> None:
    """Write a table whole (aside, then renamed): parquet, or CSV for a path that ends so.

    Raises
    ------
    KeyError
        A row lacks a column of the table or has one it does not know.
    """
    schema, path = arrow_schema(table), Path(path)
    if not isinstance(rows, pa.Table):
        rows = list(rows)
        for row in rows:
            if row.keys() != set(schema.names):
                raise KeyError(f"{table}: columns {sorted(row.keys() ^ set(schema.names))} are missing or unknown")
        rows = pa.Table.from_pylist(rows, schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    if path.suffix == ".csv":
        rows.to_pandas().to_csv(partial, index=False)
    else:
        pq.write_table(rows, partial, compression="zstd")
    os.replace(partial, path)


def read_table(table: str, path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table, all columns or some, as a data frame with Arrow types (lists stay lists).

    Raises
    ------
    InputError
        The file is missing, damaged, or not of the table's schema.
    """
    return read_arrow(table, path, columns).to_pandas()


def read_arrow(table: str, path: str | Path, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet table as Arrow. Raises InputError like `read_table`."""
    try:
        found = pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowInvalid) as fault:
        raise InputError(f"{path}: not a readable {table} table ({fault}); delete it and run again") from fault
    wanted = arrow_schema(table)
    for name in columns or wanted.names:
        if name not in found.schema.names or found.schema.field(name).type != wanted.field(name).type:
            raise InputError(f"{path}: column `{name}` is missing or of another type; delete the file and run again")
    return found


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a data frame as dicts."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def concatenate_tables(table: str, paths: list[str], path: str | Path) -> None:
    """Gather shards into one table, whole, without holding more than GATHER_ROWS rows and a shard.

    Raises
    ------
    InputError
        A shard is missing, damaged, or not of the table's schema; it is named.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with pq.ParquetWriter(partial, arrow_schema(table), compression="zstd") as writer:
        waiting: list[pa.Table] = []
        for shard in paths:
            waiting.append(read_arrow(table, shard))
            if sum(map(len, waiting)) >= GATHER_ROWS:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
    os.replace(partial, path)


def gather_tables(parts: Mapping[str, list[str]], outputs: Mapping[str, str]) -> None:
    """Gather the parts of several tables, each into one."""
    for table, path in outputs.items():
        concatenate_tables(table, parts[table], path)


def describe_tables() -> str:
    """Return the dictionary of all tables and columns as Markdown."""
    parts = []
    for table, (summary, columns) in TABLES.items():
        rows = [f"| `{name}` | {dtype} | {meaning} |" for name, (dtype, meaning) in columns.items()]
        parts.append(
            "\n".join([f"### {table}", "", summary, "", "| column | type | meaning |", "|---|---|---|", *rows])
        )
    return "\n\n".join(parts)
