"""Which models work with the slot cache: by their config, and by a probe that compares logits."""

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from autojudge.engine.attention import ATTENTION
from autojudge.engine.cache import NO_SLOTS, CachedModel, Request
from autojudge.errors import InputError

PROBE_TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.6}  # of logits with a spread of 1


def check_layers(config: PreTrainedConfig, name: str) -> None:
    """Refuse a model by its text config where its layers do not keep every past token. Raises InputError."""
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"])
    if kinds != {"full_attention"}:
        raise InputError(
            f"model {name}: its layers ({', '.join(sorted(kinds))}) do not fit a cache with branches; "
            "choose a model with full attention in every layer"
        )


def check_slot_cache(model: PreTrainedModel, name: str) -> None:
    """Give a model the attention of the slot cache and refuse those that do not work with it.

    Raises
    ------
    InputError
        Its layers do not keep every past token (sliding windows, recurrence, a state of fixed size), its code does not
        take another attention, or its logits are not what its head gives for the last hidden state.
    """
    config = model.config.get_text_config()
    check_layers(config, name)
    tokens = [token % config.vocab_size for token in (11, 7, 5, 13, 3, 2, 17)]
    try:
        model.set_attn_implementation(ATTENTION)
        with torch.inference_mode():
            plain = model(torch.tensor([tokens], device=model.device), use_cache=False).logits[0, -2:].float()
        cached = CachedModel(model, 2, 32, plain.shape[-1])
        prompt = cached.forward([Request(1, NO_SLOTS, tokens[:3])]).slots[0]
        cached.release(1, cached.forward([Request(1, prompt, tokens[:4])]).slots[0])
        branches = [Request(1, prompt, tokens[2:5]), Request(1, prompt, tokens[3:])]
        found = cached.forward(branches, keep_logits=True).logits[1][-2:].float()
    except Exception as fault:  # whatever foreign model code raises
        reason = str(fault).strip().splitlines() or [type(fault).__name__]
        raise InputError(
            f"model {name}: it does not work with a cache with branches ({reason[0]}); choose one of a "
            "plainer architecture"
        ) from fault
    error = (found - plain).abs().max().item() / max(plain.std().item(), 1e-6)
    if not error < PROBE_TOLERANCE[model.dtype]:
        raise InputError(
            f"model {name}: with the cache its logits differ from its own by {error:.2g} of their spread; "
            "choose a model with ordinary attention and an ordinary head"
        )
