"""The table of decoding: the sweep."""

import pyarrow as pa

from autojudge.tables.mining import CHECKED_BY, PROBLEM_ID
from autojudge.tables.table import TOKENS, Column, Table

COUNTS = {
    "tokens": Column(pa.int32(), doc="length of the response, the end token included"),
    "cycles": Column(pa.int32(), doc="draft windows verified"),
    "accepted": Column(pa.int32(), doc="accepted draft tokens and corrections; no bonus token (the paper's count)"),
    "emitted": Column(
        pa.int32(), doc="tokens the cycles added, the bonus token of a full window included (engines' count)"
    ),
    "target_calls": Column(pa.int32(), doc="forward passes of the target, the prompt's included"),
    "draft_calls": Column(pa.int32(), doc="forward passes of the draft, the prompt's included"),
}

SWEEP = Table(
    "sweep",
    {
        "problem_id": PROBLEM_ID,
        "repeat": Column(
            pa.int32(), doc="number of the decoding of the problem (decoding.repeats), from 0; each draws other numbers"
        ),
        "fold": Column(
            pa.string(),
            doc="fold whose judge decodes the problem, the fold's own or one of its validation; null without folds",
        ),
        "split": Column(pa.string(), doc="validation or test, in the fold"),
        "rule": Column(
            pa.string(),
            doc="acceptance rule; `target` is the target alone, `target_RULE` the target alone that samples from what "
            "the rule keeps (decoding.truncated)",
        ),
        "threshold_low": Column(pa.float64(), doc="the response holds for thresholds above this one"),
        "threshold": Column(
            pa.float64(),
            doc="and up to this one, inf being all; a mismatch is kept when its score lies below the threshold",
        ),
        "exact": Column(
            pa.bool_(),
            doc="false: the problem has too many branches for the rule (decoding.branches), or the target is "
            "truncated, so the response was decoded at `threshold` and stands for those below it, down to the next "
            "given one",
        ),
        "window": Column(pa.int32(), doc="tokens the draft proposes per cycle; 0 for the target alone"),
        "correct": Column(pa.bool_(), doc="the answer is the gold answer"),
        "answer": Column(pa.string(), doc="answer of the response; null: none found"),
        "checked_by": CHECKED_BY,
        "cut_off": Column(pa.bool_(), doc="the response ends at the token limit"),
        "differs": Column(pa.bool_(), doc="the response is not lossless decoding's at that window"),
        "loops": Column(pa.bool_(), doc="cut off while it repeats the same tokens, three times or more"),
        **COUNTS,
        "kept_at": Column(TOKENS, doc="by place in the window, the cycles that kept the draft's token there"),
        "response": Column(TOKENS, doc="the response"),
    },
    doc="One row per validation or test problem, repeat, window, rule, and interval of thresholds with one response.",
)
