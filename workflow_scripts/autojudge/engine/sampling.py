"""Sampling with temperature and top-p, from random numbers given: the same numbers draw the same tokens."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes
    ----------
    temperature : float
        Above 0; divides the logits.
    top_p : float
        Only the most probable tokens that together reach this probability are drawn; 1: all.
    """

    temperature: float
    top_p: float = 1.0

    def distribution(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the probabilities, float32, that tokens are drawn with by their logits (..., vocabulary)."""
        p = (logits.float() / self.temperature).softmax(-1)
        if self.top_p >= 1:
            return p
        ordered, tokens = p.sort(-1, descending=True)
        dropped = ordered.cumsum(-1) - ordered >= self.top_p  # the tokens before it suffice
        p = p.masked_fill(torch.zeros_like(dropped).scatter(-1, tokens, dropped), 0)
        return p / p.sum(-1, keepdim=True)


def draw(p: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Return tokens (n,) drawn from weights (n, vocabulary) by uniform numbers (n,), inverting the weights' sums."""
    sums = p.double().cumsum(-1)
    wanted = uniform.to(sums.device)[:, None] * sums[:, -1:]
    return torch.searchsorted(sums, wanted, right=True)[:, 0].clamp_max(p.shape[-1] - 1)


def residual(
    p: torch.Tensor,  # (n, vocabulary)
    q: torch.Tensor,  # (n, vocabulary)
) -> torch.Tensor:
    """Return the weights (n, vocabulary) of the token in place of a refused one: max(p - q, 0) (Leviathan et al. 2023).

    Where rounding leaves nothing of them, p itself.
    """
    rest = (p - q).clamp_min(0)
    return torch.where(rest.sum(-1, keepdim=True) > 0, rest, p)
