"""Which models work with the slot cache: by their config, and by a probe that compares with the model's own forward."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import eager_mask

from autojudge.engine.attention import ATTENTION, SPARE, LayerCaches, PassPlan, Piece, attend
from autojudge.engine.cache import NO_SLOTS, CachedModel, Request
from autojudge.engine.head import Head
from autojudge.errors import InputError

KINDS = {"full_attention", "sliding_attention"}  # of layers that keep every past token, or need only some of them
PROBED = "autojudge_probed"  # the model's own attention, that of the slot cache compared with it
TOLERANCE = 1e-3  # of errors by the spread of what is compared
ROUNDED = {torch.float32: TOLERANCE, torch.float16: 0.02, torch.bfloat16: 0.1}  # after all layers, at the least
ROUNDINGS = 3  # errors up to so many times what another order of sums does to the model's own forward are rounding
WINDOW = 3  # tokens
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
        with _short_windows(model):
            plain = _compare_attention(model, tokens)
            model.set_attn_implementation(ATTENTION)
            otherwise, found = _read(model, tokens), _read_in_branches(model, tokens)
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


@contextmanager
def _short_windows(model: PreTrainedModel) -> Iterator[None]:
    """Let layers with sliding windows see few tokens meanwhile, so that a short text goes beyond their windows."""
    holders = [model.config.get_text_config(), *model.modules()]
    windows = [(holder, getattr(holder, "sliding_window", None)) for holder in holders]
    windows = [(holder, window) for holder, window in windows if isinstance(window, int)]
    for holder, _ in windows:
        holder.sliding_window = WINDOW
    try:
        yield
    finally:
        for holder, window in windows:
            holder.sliding_window = window


@torch.inference_mode()
def _read(model: PreTrainedModel, tokens: list[int]) -> torch.Tensor:
    """Return the logits (tokens, vocabulary) of a model's forward pass of its own."""
    logits: torch.Tensor = model(torch.tensor([tokens], device=model.device), use_cache=False).logits[0]
    return logits


def _typical_error(found: torch.Tensor, own: torch.Tensor) -> float:
    """Return the error of logits (tokens, vocabulary): of the worst token, or in 16 bits of the middle one.

    There a mixture of experts may send a token elsewhere by rounding alone.
    """
    errors = torch.tensor([spread_of_error(*logits) for logits in zip(found, own, strict=True)])
    return (errors.max() if own.dtype == torch.float32 else errors.median()).item()


def _compare_attention(model: PreTrainedModel, tokens: list[int]) -> torch.Tensor:
    """Return the logits (tokens, vocabulary) of a model's own forward; raise ValueError where a part does not fit."""
    model.set_attn_implementation("eager")
    own = _read(model, tokens)
    if not own.isfinite().all():
        raise ValueError("its logits are not numbers, so its weights are damaged")
    model.set_attn_implementation(PROBED)
    if model.config._attn_implementation != PROBED:
        raise ValueError("its code accepts no attention but its own")
    read: list[torch.Tensor] = []  # last hidden states, of the decoder where an architecture asks that alone
    parts = {model.base_model, model.get_decoder()}
    hooks = [part.register_forward_hook(lambda *of: read.append(of[2].last_hidden_state[0])) for part in parts]
    logits = _read(model, tokens)
    for hook in hooks:
        hook.remove()
    _compare(logits, own, "its attention is not that of its code's eager_attention_forward")
    with torch.inference_mode():
        _compare(Head(model)(read[0]), logits, "its logits are not what its head gives for the last hidden state")
    return own


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
    own = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    if own is None:
        raise ValueError("its code has no eager_attention_forward to compare its attention with")
    count, layers = query.shape[2], LayerCaches(1, query.shape[2] + 1)
    layers.see(count + 1)
    plan = PassPlan(layers, [Piece(0, 0, NO_SLOTS, [0] * count, SPARE + 1 + np.arange(count), True)], count + 1)
    exact = query.float(), key.float(), value.float()
    with plan.running():
        found = attend(module, *exact, None, **options)[0]
    mask = None if attention_mask is None else attention_mask.float()
    _compare(found, own(module, *exact, mask, **options)[0], "its attention is not that of the slot cache")
    return own(module, query, key, value, attention_mask, **options)


def _read_in_branches(model: PreTrainedModel, tokens: list[int]) -> torch.Tensor:
    """Return the logits (tokens, vocabulary) of a text in branches, other texts and branches before it in each pass."""
    cached = CachedModel(model, 2, 32, model.get_output_embeddings().weight.shape[0])
    begin = [Request(0, NO_SLOTS, tokens[::-1]), Request(1, NO_SLOTS, tokens[:3])]
    _, prompt = (first := cached.forward(begin, keep_logits=True)).slots
    cached.release(1, cached.forward([Request(1, prompt, tokens[:4])]).slots[0])
    rest = cached.forward([Request(1, prompt, tokens[2:4]), Request(1, prompt, tokens[3:])], keep_logits=True)
    return torch.cat([first.logits[1], rest.logits[1]])


AttentionInterface.register(PROBED, _attend_as_probe)
AttentionMaskInterface.register(PROBED, eager_mask)
