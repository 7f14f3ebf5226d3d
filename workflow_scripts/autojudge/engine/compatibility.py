"""Which models work with the slot cache: by their config, and by a probe that compares with the model's own forward."""

import sys
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

from autojudge.engine.attention import ATTENTION, SPARE, LayerCaches, PassPlan, Piece, attend
from autojudge.engine.cache import NO_SLOTS, CachedModel, Request
from autojudge.engine.head import Head
from autojudge.engine.rope import longest_text
from autojudge.errors import InputError

KINDS = {"full_attention", "sliding_attention"}  # of layers that keep every past token, or need only some of them
PROBED = "autojudge_probed"  # the model's own attention, that of the slot cache compared with it
TOLERANCE = 1e-3  # of errors by the spread of what is compared
ROUNDED = {torch.float32: TOLERANCE, torch.float16: 0.02, torch.bfloat16: 0.1}  # after all layers, at the least
ROUNDINGS = 3  # errors up to so many times what another order of sums does to the model's own forward are rounding
KNOWN_TENSORS = {"position_ids", "cache_position"}  # arguments of an attention that say what the slots say here


def check_layers(config: PreTrainedConfig, name: str) -> None:
    """Refuse a model by its text config where its layers do not keep every past token. Raises InputError."""
    kinds = set(getattr(config, "layer_types", None) or ())
    if not kinds <= KINDS:
        raise InputError(
            f"model {name}: its layers ({', '.join(sorted(kinds))}) do not fit a cache with branches; choose a model "
            "with full or sliding attention in every layer (docs/models.md lists some)"
        )


def check_slot_cache(model: PreTrainedModel, name: str) -> None:
    """Give a model the attention of the slot cache and refuse those that do not work with it.

    Its attention is compared with its own layer by layer, in float32 whatever its dtype, its head by the states that
    it reads, and texts in branches with the whole text.

    Raises
    ------
    InputError
        Its layers do not keep every past token (recurrence, a state of fixed size), its code does not take another
        attention or gives it what the slot cache does not know, or its logits are not a function of the last hidden
        state.
    """
    config = model.config.get_text_config()
    check_layers(config, name)
    tokens = [token % config.vocab_size for token in (11, 7, 5, 13, 3, 2, 17)]
    try:
        plain = _compare_attention(model, tokens)
        model.set_attn_implementation(ATTENTION)
        with torch.inference_mode():
            otherwise = model(torch.tensor([tokens], device=model.device), use_cache=False).logits[0]
        found, windows = _read_in_branches(model, tokens)
    except Exception as fault:  # whatever foreign model code raises
        reason = str(fault).strip().splitlines() or [type(fault).__name__]
        raise InputError(
            f"model {name}: it does not work with a cache with branches ({reason[0]}); choose one of a "
            "plainer architecture (docs/models.md)"
        ) from fault
    error = _typical_error(found, plain)
    if not error < max(ROUNDED[model.dtype], ROUNDINGS * _typical_error(otherwise, plain)):
        raise InputError(
            f"model {name}: with the cache its logits differ from its own by {error:.2g} of their spread; "
            "choose a model of an architecture in docs/models.md"
        )
    _check_windows(config, windows, name)


def _typical_error(found: torch.Tensor, own: torch.Tensor) -> float:
    """Return the error of logits (tokens, vocabulary): of the worst token, or in 16 bits of the middle one.

    There a mixture of experts may send a token elsewhere by rounding alone.
    """
    errors = torch.tensor([spread_of_error(*logits) for logits in zip(found, own, strict=True)])
    return (errors.max() if own.dtype == torch.float32 else errors.median()).item()


def _compare_attention(model: PreTrainedModel, tokens: list[int]) -> torch.Tensor:
    """Return the logits (tokens, vocabulary) of a model's own forward; raise ValueError where a part does not fit."""
    model.set_attn_implementation(PROBED)
    if model.config._attn_implementation != PROBED:
        raise ValueError("its code takes no other attention than its own")
    read: list[torch.Tensor] = []  # last hidden states, of the decoder where an architecture asks that alone
    parts = {model.base_model, model.get_decoder()}
    hooks = [part.register_forward_hook(lambda *of: read.append(of[2].last_hidden_state[0])) for part in parts]
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([tokens], device=model.device), use_cache=False).logits[0]
        for hook in hooks:
            hook.remove()
        _compare(Head(model)(read[0]), logits, "its logits are not what its head gives for the last hidden state")
    return logits


def _compare(found: torch.Tensor, own: torch.Tensor, what: str) -> None:
    error = spread_of_error(found, own)
    if not error < TOLERANCE:
        raise ValueError(f"{what}: they differ by {error:.2g} of their spread")


def spread_of_error(found: torch.Tensor, own: torch.Tensor) -> float:
    """Return the largest difference by the spread of what should be found."""
    return (found.float() - own.float()).abs().max().item() / max(own.float().std().item(), 1e-6)


def _attend_as_probe(
    module: torch.nn.Module,
    query: torch.Tensor,  # (1, query heads, tokens, head size)
    key: torch.Tensor,  # (1, heads, tokens, head size)
    value: torch.Tensor,  # (1, heads, tokens, head size)
    attention_mask: torch.Tensor | None,  # (1, 1, tokens, tokens), additive
    **options: Any,
) -> Any:
    """Return what the module's own attention gives, once that of the slot cache has given the same in float32."""
    unknown = {name for name, option in options.items() if isinstance(option, torch.Tensor)} - KNOWN_TENSORS - {"s_aux"}
    if unknown:
        raise ValueError(f"its attention reads {', '.join(sorted(unknown))} besides query, key and value")
    own = getattr(sys.modules[type(module).__module__], "eager_attention_forward", sdpa_attention_forward)
    count, layers = query.shape[2], LayerCaches(1, query.shape[2] + 1)
    layers.see(count + 1)
    plan = PassPlan(layers, [Piece(0, 0, NO_SLOTS, [0] * count, SPARE + 1 + np.arange(count), True)], count + 1)
    exact = query.float(), key.float(), value.float()
    with plan.running():
        found = attend(module, *exact, None, **options)[0]
    mask = None if attention_mask is None else attention_mask.float()
    _compare(found, own(module, *exact, mask, **options)[0], "its attention is not that of the slot cache")
    return own(module, query, key, value, attention_mask, **options)


def _read_in_branches(model: PreTrainedModel, tokens: list[int]) -> tuple[torch.Tensor, dict[int, int | None]]:
    """Return the logits (tokens, vocabulary) of a text in branches, and the windows that its layers asked for."""
    cached = CachedModel(model, 2, 32, model.get_output_embeddings().weight.shape[0])
    prompt = cached.forward([Request(1, NO_SLOTS, tokens[:3])], keep_logits=True)
    cached.release(1, cached.forward([Request(1, prompt.slots[0], tokens[:4])]).slots[0])
    branches = [Request(1, prompt.slots[0], tokens[2:5]), Request(1, prompt.slots[0], tokens[3:])]
    return torch.cat([prompt.logits[0], cached.forward(branches, keep_logits=True).logits[1]]), cached.windows


def _check_windows(config: PreTrainedConfig, windows: dict[int, int | None], name: str) -> None:
    """Raise InputError where layers do not tell their attention the windows that the config gives them."""
    size, longest = getattr(config, "sliding_window", None), longest_text(config)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * (1 + max(windows))
    for layer, window in windows.items():
        stated = size if kinds[layer] == "sliding_attention" else None
        if min(stated or longest, longest) != min(window or longest, longest):
            raise InputError(
                f"model {name}: layer {layer} sees {window or 'all'} tokens, but its config states {stated or 'all'}; "
                "choose a model of an architecture in docs/models.md"
            )


AttentionInterface.register(PROBED, _attend_as_probe)
AttentionMaskInterface.register(PROBED, eager_mask)
