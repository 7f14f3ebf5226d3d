"""What the labels of a judge say: by answers or by likelihood, some of them inferred from agreement, or soft."""

from typing import NamedTuple

import pyarrow.parquet as pq

from autojudge.tables.files import read_table
from autojudge.tables.label_sources import OF_SOURCES, SOURCED_LABELS

BY_ANSWERS = "matters for the final answer"
BY_LIKELIHOOD = "makes the target's own next tokens much less likely"
LIKELIHOOD = (
    'Labels are by likelihood (`mining.likelihood`, after SelfJudge, arXiv 2510.02329): "important" means that the '
    "target's log likelihood of its own next tokens fell below a threshold after the draft's token. No answer was read."
)
AGREEMENT = (
    "{stopped} of the {labels} labels are inferred (`mining.agreement`): the alternative came back to the text that it "
    "had left, was stopped there, and was taken as unimportant without reading its answer."
)
SOFT = (
    "Labels are soft (`mining.samples`): for {sampled} of the {labels} mismatches, the judge was fitted on the share "
    "of sampled continuations that keep the target's answer. Its figures are measured against the greedy labels."
)


class LabelKinds(NamedTuple):
    """How many labels of a table are of which kind.

    Attributes
    ----------
    labels : int
        All labels.
    by_likelihood, stopped, sampled : int
        Those by likelihood; those inferred from agreement; those that come with a share of sampled continuations.
    """

    labels: int
    by_likelihood: int
    stopped: int
    sampled: int


def count_kinds(labels: str) -> LabelKinds:
    """Return how many labels of a labels.parquet are of which kind."""
    held = set(pq.read_schema(labels).names)
    table = read_table(SOURCED_LABELS, labels, ["stopped", *(name for name in OF_SOURCES if name in held)])
    scored, sampled = (int(table[name].notna().sum()) if name in held else 0 for name in OF_SOURCES)
    return LabelKinds(len(table), scored, int(table["stopped"].sum()), sampled)


def describe_question(kinds: LabelKinds) -> str:
    """Return what a label says of a draft token."""
    return BY_LIKELIHOOD if kinds.by_likelihood else BY_ANSWERS


def describe_kinds(kinds: LabelKinds) -> list[str]:
    """Return a sentence or two on each kind of label other than that of a continuation's answer."""
    told = {LIKELIHOOD: kinds.by_likelihood, AGREEMENT: kinds.stopped, SOFT: kinds.sampled}
    return [text.format(**kinds._asdict()) for text, count in told.items() if count]
