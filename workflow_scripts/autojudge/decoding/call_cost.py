"""What a draft call costs beside a target call: by it counted calls become a projected speed-up."""

import time
from typing import Any

import numpy as np
import torch

from autojudge.engine.models import Pair

TOKEN = 5  # read by every call; which one it is does not matter


@torch.inference_mode()
def measure_calls(pair: Pair, calls: int) -> dict[str, float]:
    """Time calls of draft and target in turn, each of one token without context.

    Parameters
    ----------
    calls : int
        Of each model.

    Returns
    -------
    dict
        `draft_seconds` and `target_seconds`, medians, and `ratio`, the first over the second. Without a draft model, as
        where drafts come from prompt lookup, the first and the ratio are 0.
    """
    models = {"draft": pair.draft, "target": pair.target}
    seconds: dict[str, list[float]] = {role: [] for role in models}
    for _ in range(calls):
        for role, model in models.items():
            seconds[role].append(_time_call(model) if model is not None else 0.0)
    draft, target = (float(np.median(seconds[role])) for role in models)
    return {"ratio": draft / target, "draft_seconds": draft, "target_seconds": target}


def _time_call(model: Any) -> float:
    """Return the seconds from a token to the choice of the next one, which a GPU is waited for."""
    start = time.perf_counter()
    int(model(torch.tensor([[TOKEN]], device=model.device), use_cache=False).logits[0, -1].argmax())
    return time.perf_counter() - start
