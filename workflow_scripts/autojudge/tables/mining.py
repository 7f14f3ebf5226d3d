"""Tables of mining: problems, responses, labels and features."""

import pyarrow as pa

from autojudge.tables.table import TOKENS, Column, Table

HIDDEN = pa.list_(pa.float16())  # one width per file: the hidden size of the model

PROBLEM_ID = Column(pa.string(), doc="name of the problem, a hash of its text")
KEY = {
    "problem_id": PROBLEM_ID,
    "position": Column(pa.int32(), doc="token position in the response; 0 is the first generated token"),
}
MINED_SPLIT = Column(pa.string(), doc="train, validation, or test where a swept rule reads labels")

CHECKED_BY = Column(
    pa.string(), doc="what ran the responses' programs: the sandbox's means and Python; null where answers are read"
)

PROBLEMS = Table(
    "problems",
    {
        "problem_id": PROBLEM_ID,
        "question": Column(pa.string(), doc="the problem's text"),
        "gold": Column(pa.string(), doc="the dataset's answer; null where it has questions alone"),
        "prompt_tokens": Column(TOKENS, doc="the prompt, chat template applied"),
        "split": Column(pa.string(), doc="train, validation or test, by a hash of the problem"),
        "tests": Column(pa.string(), doc="digest of the problem's row of table `tests`; null where answers are read"),
    },
    doc="One row per problem.",
)

TESTS = Table(
    "tests",
    {
        "problem_id": PROBLEM_ID,
        "digest": Column(pa.string(), doc="16 hex digits of the SHA-256 of `tests`"),
        "tests": Column(pa.string(), doc="what the task tests programs by, as JSON"),
    },
    doc="One row per problem of a task whose responses are programs, each in a row group of its own.",
)

RESPONSES = Table(
    "responses",
    {
        "problem_id": PROBLEM_ID,
        "split": MINED_SPLIT,
        "target_tokens": Column(TOKENS, doc="target's greedy response"),
        "draft_tokens": Column(TOKENS, doc="draft's own greedy response"),
        "mined_tokens": Column(TOKENS, doc="response after all unimportant swaps"),
        "target_answer": Column(
            pa.string(), doc="answer of the target's response; null: none found, so no labels by answers"
        ),
        "draft_answer": Column(pa.string(), doc="answer of the draft's response"),
        "mined_answer": Column(pa.string(), doc="answer of the mined response"),
        "correct": Column(pa.bool_(), doc="the target's answer is the gold answer; false where the dataset has none"),
        "checked_by": CHECKED_BY,
        "cut_off": Column(pa.bool_(), doc="the target's response ends at the token limit, so that its answer is noise"),
        "least_margin": Column(
            pa.float32(), doc="least distance of best and second best logit in the target's response"
        ),
        "seconds": Column(
            pa.float64(), doc="wall-clock from the problem's start to its end; problems overlap in a batch"
        ),
        "mined_again": Column(
            pa.bool_(),
            doc="stopped alternatives had changed the answer, so that the problem was mined once more without "
            "(config: mining.agreement)",
        ),
        "target_evaluated": Column(pa.int64(), doc="tokens put through the target"),
        "draft_evaluated": Column(pa.int64(), doc="tokens put through the draft"),
    },
    doc="One row per mined problem.",
)

LABELS = Table(
    "labels",
    {
        **KEY,
        "split": MINED_SPLIT,
        "target_token": Column(pa.int32(), doc="token of the response"),
        "draft_token": Column(pa.int32(), doc="the draft's greedy token"),
        "important": Column(
            pa.bool_(),
            doc="the swap changed the final answer; or, with mining.likelihood, made the text after it less likely",
        ),
        "alternative_answer": Column(
            pa.string(),
            doc="answer after the swap; null: none found, hence important, or `stopped`, or a label by likelihood",
        ),
        "margin": Column(pa.float32(), doc="target's best logit minus its second best; near 0 is a near tie"),
        "least_margin": Column(
            pa.float32(),
            doc="least distance of best and second best logit among the choices that the label rests on: the draft's "
            "at `position` and the target's in the alternative",
        ),
        "cut_off": Column(
            pa.bool_(),
            doc="the target's response or this alternative ends at the token limit, so that the label is noise "
            "(config: judge.exclude_cut_off)",
        ),
        "near_tie": Column(
            pa.bool_(),
            doc="`least_margin` is below the tolerance of the target's dtype: 1e-4 logits in "
            "float32, 0.016 in float16, 0.125 in bfloat16",
        ),
        "alternative_tokens": Column(TOKENS, doc="the alternative from `position` on, as far as it was continued"),
        "stopped": Column(
            pa.bool_(),
            doc="the alternative came back to the text that it had left and was stopped there: taken for unimportant "
            "(config: mining.agreement)",
        ),
        "audited": Column(
            pa.bool_(), doc="it would have been stopped, but was drawn to be continued to its end: `important` is exact"
        ),
    },
    doc="One row per mismatch.",
)

FEATURES = Table(
    "features",
    {
        **KEY,
        # feature_names.BLOCKS
        "draft_at_draft": Column(HIDDEN, doc="draft's last hidden state at `position`, the draft's token placed there"),
        "target_at_draft": Column(
            HIDDEN, doc="target's last hidden state at `position`, the draft's token placed there"
        ),
        "draft_at_target": Column(
            HIDDEN, doc="draft's last hidden state at `position`, the target's token placed there"
        ),
        "target_at_target": Column(
            HIDDEN, doc="target's last hidden state at `position`, the target's token placed there"
        ),
        "draft_before": Column(HIDDEN, doc="draft's last hidden state at `position` - 1"),
        "target_before": Column(HIDDEN, doc="target's last hidden state at `position` - 1"),
        # feature_names.SCALARS
        "draft_token_probability": Column(pa.float32(), doc="probability of the draft's token under the target"),
        "draft_token_rank": Column(
            pa.float32(), doc="rank of the draft's token under the target; 0 is the most probable"
        ),
        "draft_entropy": Column(pa.float32(), doc="entropy of the draft's distribution, nats"),
        "target_entropy": Column(pa.float32(), doc="entropy of the target's distribution, nats"),
        "kl_divergence": Column(pa.float32(), doc="KL(target || draft), nats"),
        "js_divergence": Column(pa.float32(), doc="Jensen-Shannon divergence of the two distributions, nats"),
        "draft_top_probability": Column(pa.float32(), doc="largest probability of the draft's distribution"),
        "target_top_probability": Column(pa.float32(), doc="largest probability of the target's distribution"),
    },
    doc="One row per mismatch, keyed like labels: hidden states after the final norm and scalars known at "
    "verification.",
)
