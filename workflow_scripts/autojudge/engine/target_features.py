"""The scalar features of a mismatch that the target alone gives: for engines that keep nothing of the draft.

Apart from `features`, whose digest mined work depends on.
"""

import torch


def describe_distribution(
    target_logits: torch.Tensor,  # (n, vocabulary)
    draft_token: torch.Tensor,  # (n,)
) -> dict[str, torch.Tensor]:
    """Compute those scalars of `features.compare_distributions` that depend on the target and the draft's token alone.

    Returns
    -------
    dict of str to Tensor of shape (n,)
        One entry per name of `judging.needs.TARGET_SCALARS`, float32, the same numbers; the entropy in nats.
    """
    target = target_logits.float().log_softmax(-1)
    p, chosen = target.exp(), target.gather(1, draft_token[:, None])
    return {
        "draft_token_probability": chosen[:, 0].exp(),
        "draft_token_rank": (target > chosen).sum(-1).float(),
        "target_entropy": -(p * target).sum(-1),
        "target_top_probability": p.amax(-1),
    }
