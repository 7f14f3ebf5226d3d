"""What is known of a mismatch when the target verifies it: hidden states and scalars."""

import torch


def compare_distributions(
    target_logits: torch.Tensor,  # (n, vocabulary)
    draft_logits: torch.Tensor,  # (n, vocabulary)
    draft_token: torch.Tensor,  # (n,)
) -> dict[str, torch.Tensor]:
    """Compute the scalar features of n mismatches.

    Returns
    -------
    dict of str to Tensor of shape (n,)
        One entry per column of `feature_names.SCALARS`, float32; entropies and divergences in nats.
    """
    target, draft = target_logits.float().log_softmax(-1), draft_logits.float().log_softmax(-1)
    p, q = target.exp(), draft.exp()
    middle = ((p + q) / 2).clamp_min(torch.finfo(torch.float32).tiny).log()
    chosen = target.gather(1, draft_token[:, None])
    return {
        "draft_token_probability": chosen[:, 0].exp(),
        "draft_token_rank": (target > chosen).sum(-1).float(),
        "draft_entropy": -(q * draft).sum(-1),
        "target_entropy": -(p * target).sum(-1),
        "kl_divergence": (p * (target - draft)).sum(-1),
        "js_divergence": ((p * (target - middle)).sum(-1) + (q * (draft - middle)).sum(-1)) / 2,
        "draft_top_probability": q.amax(-1),
        "target_top_probability": p.amax(-1),
    }
