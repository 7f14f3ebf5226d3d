"""Tables of reporting: comparisons of judges, curves and their summaries, speed."""

import pyarrow as pa

from autojudge.tables.judging import POINT
from autojudge.tables.table import Column, Table

PAIR = Column(pa.string(), doc="key of pairs")
RULE = Column(
    pa.string(),
    doc="acceptance rule; `target` is the target alone, `target_RULE` the target alone that samples from what the rule "
    "keeps",
)
WINDOW = Column(pa.int32(), doc="tokens the draft proposes per cycle; 0 for the target alone")
COST_RATIO = Column(pa.float64(), doc="time of a draft call over that of a target call, for the speed-up")
SPEEDUP = Column(
    pa.float64(),
    doc="projected: calls of the target alone over target calls + cost_ratio x draft calls, for the same problems",
)
ACCURACY = Column(pa.float64(), doc="share of correct answers")
RATIOS = {
    "accepted_per_cycle": Column(pa.float64(), doc="accepted tokens over cycles (the paper's count)"),
    "emitted_per_cycle": Column(pa.float64(), doc="emitted tokens over cycles (engines' count)"),
    "target_calls_per_token": Column(pa.float64(), doc="target forward passes over tokens"),
    "draft_calls_per_token": Column(pa.float64(), doc="draft forward passes over tokens"),
}
MEASURED = {  # at one threshold, on the test split
    "problems": Column(pa.int64(), doc="test problems"),
    "repeats": Column(
        pa.int64(), doc="times that each is decoded (decoding.repeats); intervals resample problems with all repeats"
    ),
    "accuracy": ACCURACY,
    "accuracy_low": Column(
        pa.float64(), doc="its Wilson 95 % interval, or with repeats the bootstrap interval over problems, lower end"
    ),
    "accuracy_high": Column(pa.float64(), doc="upper end"),
    "drop": Column(pa.float64(), doc="percentage points lost against lossless on the same problems and repeats"),
    "drop_low": Column(pa.float64(), doc="its paired bootstrap 95 % interval, lower end"),
    "drop_high": Column(pa.float64(), doc="upper end"),
    "mcnemar_p": Column(
        pa.float64(),
        doc="p-value of McNemar's exact test of the same difference, with repeats of the sign test of problems' drops",
    ),
    "retention": Column(pa.float64(), doc="accuracy over that of lossless on the same problems"),
    "retention_low": Column(pa.float64(), doc="its bootstrap 95 % interval, lower end"),
    "retention_high": Column(pa.float64(), doc="upper end"),
    **RATIOS,
    "cost_ratio": COST_RATIO,
    "speedup": SPEEDUP,
    "differing": Column(pa.float64(), doc="share of responses that are not lossless decoding's"),
    "length_ratio": Column(pa.float64(), doc="tokens of all responses over those of lossless decoding"),
    "cut_off": Column(pa.float64(), doc="share of responses that end at the token limit"),
    "looping": Column(pa.float64(), doc="share of responses that are cut off while repeating the same tokens"),
    "kept_at": Column(
        pa.string(), doc="shares of cycles that kept the draft's token at place 1, 2, ... of the window, by spaces"
    ),
    "inexact": Column(pa.int64(), doc="problems decoded at given thresholds only (sweep: `exact`)"),
}


def _with_interval(name: str, *, doc: str) -> dict[str, Column]:
    """Return a column and the ends of its interval."""
    return {
        name: Column(pa.float64(), doc=doc),
        f"{name}_low": Column(pa.float64(), doc="its 95 % interval, problems being resampled, lower end"),
        f"{name}_high": Column(pa.float64(), doc="upper end"),
    }


METRICS = {  # of a judge on one split
    **_with_interval("auc", doc="area under the ROC curve"),
    **_with_interval("average_precision", doc="area under the precision-recall curve"),
    **_with_interval("accepted_at_90", doc="unimportant mismatches accepted where 90 % of important ones are refused"),
    **_with_interval("accepted_at_95", doc="the same for 95 %"),
}

JUDGES = Table(
    "judges",
    {
        **POINT,
        "selected": Column(pa.bool_(), doc="the judge of judge/"),
        "features_read": Column(pa.int64(), doc="numbers that it reads of a mismatch"),
        "needs": Column(
            pa.string(), doc="what an engine needs to serve it: logits and hidden states of the target, of the draft"
        ),
        "auc_validation": Column(pa.float64(), doc="area under the ROC curve on validation"),
        "accepted_validation": Column(
            pa.float64(), doc="acceptance on validation at the configured recall, by which it was chosen"
        ),
        "split": Column(
            pa.string(), doc="what the following columns are measured on: test, or validation where no test is mined"
        ),
        **_with_interval("auc_folds", doc="area under the ROC curve across folds of train and validation"),
        **METRICS,
        **_with_interval("gain", doc="accepted_at_90 minus that of KL divergence alone, paired"),
    },
    doc="One row per candidate judge at its best value, and one per training-free rule: judges.csv.",
)

LEARNING_CURVE = Table(
    "learning_curve",
    {
        **POINT,
        "problems": Column(pa.int64(), doc="training problems of the fit"),
        "mismatches": Column(pa.int64(), doc="their mismatches"),
        "draw": Column(pa.int64(), doc="number of the random draw"),
        "auc": Column(pa.float64(), doc="area under the ROC curve on validation"),
        "average_precision": Column(pa.float64(), doc="area under the precision-recall curve on validation"),
        "accepted_at_90": Column(
            pa.float64(), doc="unimportant mismatches accepted where 90 % of important ones are refused"
        ),
        "accepted_at_95": Column(pa.float64(), doc="the same for 95 %"),
    },
    doc="One row per judge, number of training problems and draw: learning_curve.csv.",
)

TRANSFER = Table(
    "transfer",
    {
        "trained_on": Column(pa.string(), doc="dataset of the judge"),
        "tested_on": Column(pa.string(), doc="dataset of the mismatches"),
        "split": Column(pa.string(), doc="test, or validation where a dataset has no mined test problems"),
        "mismatches": Column(pa.int64(), doc="their number"),
        **METRICS,
    },
    doc="One row per dataset of a judge and dataset that it is measured on: results/{pair}_transfer.csv.",
)

PARETO = Table(
    "pareto",
    {
        "pair": PAIR,
        "rule": RULE,
        "window": WINDOW,
        "threshold": Column(pa.float64(), doc="the rule's knob"),
        **MEASURED,
        "recommended": Column(
            pa.bool_(), doc="the fastest window and threshold whose drop stays within decoding.tolerance on validation"
        ),
    },
    doc="One row per pair, rule, window and threshold: results/{dataset}_pareto.csv.",
)

CURVE = Table(
    "curve",
    {
        "pair": PAIR,
        "split": Column(
            pa.string(),
            doc="validation (not with folds) or test; `envelope`: test, at those windows and thresholds that no other "
            "beats on validation in both speed and accuracy, in order",
        ),
        "rule": RULE,
        "window": WINDOW,
        "threshold": Column(
            pa.float64(),
            doc="the row holds from the rule's breakpoint before this one up to this one; of an envelope the point's",
        ),
        "accuracy": ACCURACY,
        **RATIOS,
        "target_calls": Column(pa.float64(), doc="forward passes of the target by one of the target alone"),
        "draft_calls": Column(pa.float64(), doc="forward passes of the draft by one of the target alone"),
        "speedup": SPEEDUP,
    },
    doc="One row per pair, split, rule, window and breakpoint: the exact curve, and the envelope that the figure "
    "draws, results/{dataset}_curve.parquet.",
)

SUMMARY = Table(
    "summary",
    {
        "pair": PAIR,
        "rule": RULE,
        "kind": Column(pa.string(), doc="reference, training-free, judge or oracle"),
        "best": Column(
            pa.bool_(), doc="of the training-free rules the one that is fastest on validation at its recommended point"
        ),
        "folds": Column(
            pa.int64(),
            doc="folds of the test problems, each with its own recommended window and threshold, of which here and in "
            "`windows` and `pareto` the medians are told; 1 without folds",
        ),
        "window": WINDOW,
        "threshold": Column(
            pa.float64(),
            doc="recommended, with the window, on validation; of a truncated target the given one that stands for its "
            "rule's",
        ),
        **MEASURED,
        "area": Column(
            pa.float64(),
            doc="mean of the best accuracy at or above a speed-up, over those from lossless to the draft alone, each "
            "at its best window; none for references",
        ),
        **_with_interval(
            "speed_ratio", doc="speed-up over that of the best training-free rule at its recommended point, paired"
        ),
        **_with_interval(
            "accuracy_gain", doc="percentage points more than the best training-free rule at its point, paired"
        ),
    },
    doc="One row per pair and rule at its recommended window and threshold: results/{dataset}_summary.csv, .md, .tex.",
)

WINDOWS = Table(
    "windows",
    {
        "pair": PAIR,
        "rule": RULE,
        "kind": Column(pa.string(), doc="reference, training-free, judge or oracle"),
        "cost": Column(pa.string(), doc="measured, the pair's own cost ratio, or one of decoding.cost_ratios"),
        "window": WINDOW,
        "best": Column(pa.bool_(), doc="the rule's best window at that cost ratio, chosen on validation"),
        "threshold": Column(pa.float64(), doc="recommended at that window and cost ratio, on validation"),
        **MEASURED,
    },
    doc="One row per pair, rule, cost ratio and window: what tuning the window gives, results/{dataset}_windows.csv. "
    "Where folds chose different windows, one more row for their choices together.",
)

SPEED = Table(
    "speed",
    {
        "method": Column(
            pa.string(),
            doc="target (alone), assisted generation (of transformers, at lossless decoding's window; dynamic: windows "
            "that end by the draft's confidence), or an acceptance rule",
        ),
        "threshold": Column(
            pa.float64(), doc="the rule's recommended one; of dynamic assisted generation the first bar of confidence"
        ),
        "window": Column(
            pa.int32(),
            doc="tokens the draft proposes per cycle: the rule's recommended one; of dynamic assisted generation the "
            "most; 0 for the target alone",
        ),
        "batch": Column(pa.int32(), doc="most responses side by side"),
        "problems": Column(
            pa.int64(), doc="test problems, the same for every row; fewer than asked for where the time was short"
        ),
        "rounds": Column(
            pa.int64(),
            doc="counted rounds; fewer than asked for where the time was up",
        ),
        "tokens": Column(pa.int64(), doc="tokens of all responses"),
        "tokens_per_second": Column(pa.float64(), doc="median over the rounds"),
        "tokens_per_second_low": Column(pa.float64(), doc="slowest round"),
        "tokens_per_second_high": Column(pa.float64(), doc="fastest round"),
        "problems_per_second": Column(pa.float64(), doc="median over the rounds"),
        "outside_forwards": Column(pa.float64(), doc="share of the time outside the models' forward passes, median"),
        "target_calls_per_token": Column(pa.float64(), doc="target forward passes of a response over its tokens"),
        "draft_calls_per_token": Column(pa.float64(), doc="draft forward passes of a response over its tokens"),
        "call_cost_ratio": Column(
            pa.float64(), doc="time of a draft call over a target call, one token at batch 1: `ratio` of call_cost.json"
        ),
        "threads": Column(pa.int32(), doc="CPU threads of torch"),
    },
    doc="One row per method and batch: results/{dataset}/{pair}/speed.csv. Wall-clock on the machine of the "
    "run. Assisted generation has no row where transformers fails with the pair: the job's log tells why.",
)
