"""Names of what is known of a mismatch: columns of features.parquet, which `tables.mining` explains.

No imports: a served judge needs it.
"""

BLOCKS = (  # hidden states, one width per model
    "draft_at_draft",
    "target_at_draft",
    "draft_at_target",
    "target_at_target",
    "draft_before",
    "target_before",
)
SCALARS = (
    "draft_token_probability",
    "draft_token_rank",
    "draft_entropy",
    "target_entropy",
    "kl_divergence",
    "js_divergence",
    "draft_top_probability",
    "target_top_probability",
)


def expand_blocks(blocks: list[str]) -> list[str]:
    """Return column names, with `scalars` replaced by all of them."""
    return [column for block in blocks for column in (SCALARS if block == "scalars" else [block])]
