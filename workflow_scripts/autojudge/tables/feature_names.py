"""What is known of a mismatch: names and meaning of the columns of features.parquet.

No imports: a served judge needs it.
"""

BLOCKS = {  # hidden states, one width a model
    "draft_at_draft": "draft's last hidden state at `position`, the draft's token placed there",
    "target_at_draft": "target's last hidden state at `position`, the draft's token placed there",
    "draft_at_target": "draft's last hidden state at `position`, the target's token placed there",
    "target_at_target": "target's last hidden state at `position`, the target's token placed there",
    "draft_before": "draft's last hidden state at `position` - 1",
    "target_before": "target's last hidden state at `position` - 1",
}
SCALARS = {
    "draft_token_probability": "probability of the draft's token under the target",
    "draft_token_rank": "rank of the draft's token under the target; 0 is the most probable",
    "draft_entropy": "entropy of the draft's distribution, nats",
    "target_entropy": "entropy of the target's distribution, nats",
    "kl_divergence": "KL(target || draft), nats",
    "js_divergence": "Jensen-Shannon divergence of the two distributions, nats",
    "draft_top_probability": "largest probability of the draft's distribution",
    "target_top_probability": "largest probability of the target's distribution",
}


def expand_blocks(blocks: list[str]) -> list[str]:
    """Return column names, with `scalars` replaced by all of them."""
    return [column for block in blocks for column in (SCALARS if block == "scalars" else [block])]
